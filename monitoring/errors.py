"""What can stop a command of this package."""


class RecordError(Exception):
    """There is no such record, or nothing in it that can be used. The message says what to do."""


class ReplayError(Exception):
    """The model or service that is to answer again can't. The message says what to do."""
