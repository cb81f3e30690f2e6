"""What can be wrong with a result file."""


class ReportError(Exception):
    """A result file can't be read or isn't what this code reads. The message names the file and what to do."""
