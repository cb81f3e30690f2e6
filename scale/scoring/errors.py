"""What ends a scoring run in one line, without a traceback."""


class ScoringError(Exception):
    """The run can't start or go on. The message names what was given and what is wrong with it."""


class InputError(ScoringError):
    """A file is not what the manifest asks for. The message names the file, and the row and column where it is one."""
