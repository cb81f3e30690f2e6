"""The error that ends an experiment with a one-line message."""


class ExperimentError(Exception):
    """A measurement is impossible, or a file is invalid. The message says what was wrong and what to do."""
