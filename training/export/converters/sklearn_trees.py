"""scikit-learn's decision trees, forests and gradient boosting.

skl2onnx's own conversion loses the branch that missing values take. All of them compare float32 features with double
thresholds, and a forest adds up shares that often tie: both need double precision here to give the same class.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto
from skl2onnx.common._topology import Variable
from sklearn.dummy import DummyClassifier, DummyRegressor

from training.export.converters.emitter import Emitter
from training.export.converters.links import double, probabilities
from training.export.converters.trees import AT_MOST, Trees, emit_sums


def add_tree(trees: Trees, number: int, tree: Any, weights: NDArray[np.float64]) -> None:  # noqa: ANN401 - Cython
    """Add a fitted `sklearn.tree._tree.Tree` whose nodes have the `weights` [nodes, targets]."""
    inner = tree.children_left >= 0
    missing = getattr(tree, "missing_go_to_left", np.zeros(tree.node_count))
    for node in range(tree.node_count):
        if inner[node]:
            trees.split(
                number, node, feature=int(tree.feature[node]), mode=AT_MOST, value=float(tree.threshold[node]),
                true=int(tree.children_left[node]), false=int(tree.children_right[node]), missing=bool(missing[node]),
            )  # fmt: skip
        else:
            trees.leaf(number, node, dict(enumerate(weights[node].tolist())))


def forest(emitter: Emitter, model: Any, inputs: Sequence[Variable]) -> str:  # noqa: ANN401 - several classes
    """The mean of the trees' shares or values, double [N, classes] or [N, 1]; a single tree is a forest of one."""
    members = getattr(model, "estimators_", [model])
    trees = Trees()
    for number, member in enumerate(members):
        add_tree(trees, number, member.tree_, member.tree_.value[:, 0, :] / len(members))
    targets = members[0].tree_.value.shape[2]
    return double(emitter, emit_sums(emitter, trees, _float32(emitter, inputs), targets, np.zeros(targets)))


def boosting_scores(emitter: Emitter, model: Any, inputs: Sequence[Variable]) -> str:  # noqa: ANN401 - two classes
    """GradientBoosting's decision function or value, double [N, 1] or [N, classes].

    Raises:
        NotImplementedError: it starts from a model of the user's own.
    """
    if not isinstance(model.init_, (str, DummyClassifier, DummyRegressor)):
        raise NotImplementedError(f"GradientBoosting(init={type(model.init_).__name__}) has no ONNX converter here")
    trees = Trees()
    targets = model.estimators_.shape[1]
    for number, (target, member) in enumerate((k, m) for stage in model.estimators_ for k, m in enumerate(stage)):
        weights = np.zeros((member.tree_.node_count, targets))
        weights[:, target] = member.tree_.value[:, 0, 0] * model.learning_rate
        add_tree(trees, number, member.tree_, weights)
    start = model._raw_predict_init(np.zeros((1, model.n_features_in_), dtype=np.float32))[0]  # noqa: SLF001
    return double(emitter, emit_sums(emitter, trees, _float32(emitter, inputs), targets, start))


def boosting_classifier(emitter: Emitter, model: Any, inputs: Sequence[Variable]) -> str:  # noqa: ANN401 - as above
    """GradientBoostingClassifier's probabilities."""
    scores = boosting_scores(emitter, model, inputs)
    if model.loss == "exponential":
        scores = emitter.op("Mul", scores, emitter.constant(np.array(2.0)))
    return probabilities(emitter, scores, model.estimators_.shape[1])


def _float32(emitter: Emitter, inputs: Sequence[Variable]) -> str:
    """Rounded to float32, as scikit-learn's trees do with their input, and widened to the thresholds' type."""
    return double(emitter, emitter.cast(emitter.numbers(inputs), TensorProto.FLOAT))
