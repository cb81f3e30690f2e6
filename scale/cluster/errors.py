"""What can go wrong with a cluster."""


class ClusterError(Exception):
    """The cluster can't be used, or was lost. The message says which, and what to do where something helps."""
