"""What can be wrong with the documentation's figures."""


class ClaimError(Exception):
    """A marker, or a result behind it, is not as it must be. The message names the file and the line."""
