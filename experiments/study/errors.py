"""What ends a study in one line."""


class StudyError(Exception):
    """The study can't be made. The message says what was wrong and what to do."""
