"""What a cluster can do wrong."""


class ClusterError(Exception):
    """The cluster can't be used, or was lost. The message names the address and what to do."""
