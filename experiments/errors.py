"""What ends an experiment in one line."""


class ExperimentError(Exception):
    """It can't be measured, or a file is not as it must be. The message says what was wrong and what to do."""
