"""Whether a model is worth something: its score beside that of a model that looks at no feature."""

from dataclasses import dataclass

import numpy as np

from training.model.evaluation import Scored, standard_error, trivial_output
from training.model.score import Score, Target


@dataclass(frozen=True)
class Worth:
    """Scores of the held-out rows: the model's, its standard error, and the trivial model's. `only_answer` is the class
    index that a classifier gives all of them, if it gives only one.
    """

    label: str
    score: float
    standard_error: float
    trivial: float
    only_answer: int | None

    def warnings(self) -> list[str]:
        """What a person should know before the model is used."""
        told = []
        gain = self.score - self.trivial
        if not gain > self.standard_error:
            told.append(
                f"the model has learnt nothing that shows: {self.label} {self.score:.4f} on the held-out rows is no "
                f"more than a standard error ({self.standard_error:.4f}) above {self.trivial:.4f}, the score of a "
                "model that looks at no feature"
            )
        if self.only_answer is not None:
            told.append(f"every held-out row gets the same answer, class index {self.only_answer}")
        return told


def judge(score: Score, training_target: Target, held_out: Scored, threshold: float | None) -> Worth:
    """The worth of a model, on rows that were not used to choose anything."""
    output, trivial_threshold = trivial_output(score, training_target, len(held_out.target))
    trivial = score(held_out.target, output, trivial_threshold)
    value = score(held_out.target, held_out.output, threshold)
    return Worth(
        score.label, value, standard_error(score, held_out, threshold), trivial, _only_answer(held_out, threshold)
    )


def _only_answer(held_out: Scored, threshold: float | None) -> int | None:
    if held_out.target.dtype.kind == "f":
        return None
    output = held_out.output
    predicted = output >= np.float32(threshold or 0.0) if output.ndim == 1 else output.argmax(axis=1)
    return int(predicted[0]) if (predicted == predicted[0]).all() else None
