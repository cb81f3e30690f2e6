"""What can be wrong with a bundle on disk."""


class BundleError(Exception):
    """A bundle is missing, incomplete, altered or of another format. The message names the file and what to do."""
