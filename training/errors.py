"""Errors that a training run reports in one line, without a traceback."""


class TrainingError(Exception):
    """A training run can't go on. The message says what was wrong and where."""


class DataError(TrainingError):
    """The data is not what the data set promises. The message names the file and the row or column."""


class DownloadError(TrainingError):
    """No source gave the file, or what it gave was not the file."""


class ParityError(TrainingError):
    """The exported model does not give what the pickled pipeline gives. Nothing is published."""


class TableError(DataError):
    """A file can't be read as the table that its name says it is. The message names file and line."""


class ConversionError(TrainingError):
    """A fitted estimator or a graph can't be brought into the bundle's form. The message names the step."""
