"""Answers to rows that are asked again, and how refused rows are found among the others of their batch."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from training.export.predictions import Predictions, joined


class RefusedError(Exception):
    """These rows, or one of them, are refused. The message says why, in the same words for equal reasons."""


class FailedError(Exception):
    """There was no usable answer, whatever the rows were. The message says why."""


@dataclass
class Answered:
    """`answers` to the rows at `places`; why others were `refused` or `failed`, by reason."""

    places: list[int] = field(default_factory=list)
    answers: list[Predictions] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)

    def together(self) -> Predictions:
        """The answers in the order of `places`."""
        return joined(self.answers)


Ask = Callable[[Sequence[int]], Predictions]


def ask_apart(ask: Ask, places: Sequence[int], answered: Answered) -> None:
    """Ask for the rows at these places; if they are refused, for each half of them, down to single rows."""
    try:
        answers = ask(places)
    except RefusedError as error:
        if len(places) == 1:
            answered.refused[str(error)] += 1
            return
        middle = len(places) // 2
        ask_apart(ask, places[:middle], answered)
        ask_apart(ask, places[middle:], answered)
    except FailedError as error:
        answered.failed[str(error)] += len(places)
    else:
        answered.places += places
        answered.answers.append(answers)
