"""XGBoost, compared and added in float32 as XGBoost itself does it."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from onnx import TensorProto
from skl2onnx.common._topology import Variable

from training.export.converters.emitter import Emitter
from training.export.converters.trees import LESS, Trees

_IDENTITY = (
    "reg:squarederror", "reg:squaredlogerror", "reg:pseudohubererror", "reg:absoluteerror", "reg:quantileerror"
)  # fmt: skip
_EXPONENTIAL = ("count:poisson", "reg:gamma", "reg:tweedie")


def xgboost_classifier(emitter: Emitter, model: Any, inputs: Sequence[Variable]) -> str:  # noqa: ANN401 - XGBoost
    """Probabilities, float32 [N, classes].

    Raises:
        NotImplementedError: the booster is of a kind that ONNX's trees can't express.
    """
    trees, objective, base = _read(model)
    classes = len(model.classes_)
    if objective == "binary:logistic" and classes == 2:
        link = {"post_transform": "LOGISTIC", "class_ids": [0] * len(trees.leaf_targets)}
        start = _log_odds(base)
    elif objective in ("multi:softprob", "multi:softmax"):
        link = {"post_transform": "SOFTMAX", "class_ids": trees.leaf_targets}
        start = np.broadcast_to(base, classes)
    else:
        raise NotImplementedError(f"XGBClassifier(objective={objective!r}) has no ONNX converter here")
    label = emitter.ml(
        "TreeEnsembleClassifier", _float32(emitter, inputs), outputs=2, classlabels_int64s=list(range(classes)),
        nodes_values=trees.values, class_treeids=trees.leaf_treeids, class_nodeids=trees.leaf_nodeids,
        class_weights=trees.leaf_weights, base_values=[float(value) for value in start], **link, **trees.attributes(),
    )  # fmt: skip
    return emitter.second(label)


def xgboost_regressor(emitter: Emitter, model: Any, inputs: Sequence[Variable]) -> str:  # noqa: ANN401 - XGBoost
    """The value, float32 [N, 1].

    Raises:
        NotImplementedError: as for the classifier, or there are several targets.
    """
    trees, objective, base = _read(model)
    if base.size > 1 or objective not in (*_IDENTITY, *_EXPONENTIAL, "reg:logistic"):
        raise NotImplementedError(f"XGBRegressor(objective={objective!r}) has no ONNX converter here")
    if objective in _EXPONENTIAL:
        base = np.log(base)
    elif objective == "reg:logistic":
        base = _log_odds(base)
    # XGBoost starts from base_score and rounds after each tree; base_score in the first tree's leaves does the same
    first = [tree == 0 for tree in trees.leaf_treeids]
    weights = np.array(trees.leaf_weights, dtype=np.float32)
    weights[first] += np.float32(base[0])
    margin = emitter.ml(
        "TreeEnsembleRegressor", _float32(emitter, inputs), n_targets=1, post_transform="NONE",
        nodes_values=trees.values, target_treeids=trees.leaf_treeids, target_nodeids=trees.leaf_nodeids,
        target_ids=trees.leaf_targets, target_weights=weights.tolist(), **trees.attributes(),
    )  # fmt: skip
    if objective in _EXPONENTIAL:
        return emitter.op("Exp", margin)
    return emitter.op("Sigmoid", margin) if objective == "reg:logistic" else margin


def _float32(emitter: Emitter, inputs: Sequence[Variable]) -> str:
    """The inputs as XGBoost takes them: in a sparse matrix, zeros are missing."""
    matrix = emitter.numbers(inputs)
    if emitter.context.sparse:
        zero = emitter.op("Equal", matrix, emitter.constant(np.array(0.0)))
        matrix = emitter.op("Where", zero, emitter.constant(np.array(np.nan)), matrix)
    return emitter.cast(matrix, TensorProto.FLOAT)


def _log_odds(probability: np.ndarray) -> np.ndarray:
    """As XGBoost computes it, in float32 (src/common/math.h, and objective/regression_loss.h, ProbToMargin)."""
    odds: np.ndarray = np.float32(1) / probability.astype(np.float32) - np.float32(1)
    return np.asarray(-np.log(odds))


def _read(model: Any) -> tuple[Trees, str, np.ndarray]:  # noqa: ANN401 - XGBoost
    """The trees that `predict` uses, the objective, and base_score as it is stored (not as a margin).

    Raises:
        NotImplementedError: a booster without trees, with categorical splits, weights per tree, or another missing
            value than NaN.
    """
    if model.missing is not None and not np.isnan(model.missing):
        raise NotImplementedError(f"XGBoost(missing={model.missing}) has no ONNX converter here; missing must be NaN")
    booster = model.get_booster()
    best = getattr(model, "best_iteration", None) if _stopped_early(model) else None
    booster = booster if best is None else booster[: best + 1]
    learner = json.loads(booster.save_raw("json"))["learner"]
    if learner["gradient_booster"]["name"] != "gbtree":
        raise NotImplementedError(
            f"XGBoost(booster={learner['gradient_booster']['name']!r}) has no ONNX converter here; 'gbtree' has"
        )
    stored = learner["gradient_booster"]["model"]
    trees = Trees()
    for number, (tree, target) in enumerate(zip(stored["trees"], stored["tree_info"], strict=True)):
        _add_tree(trees, number, tree, target)
    base = np.atleast_1d(np.array(json.loads(learner["learner_model_param"]["base_score"]), dtype=np.float32))
    return trees, learner["objective"]["name"], base


def _stopped_early(model: Any) -> bool:  # noqa: ANN401 - XGBoost
    return model.get_booster().attr("best_iteration") is not None


def _add_tree(trees: Trees, number: int, tree: Mapping[str, Any], target: int) -> None:
    """A tree of XGBoost's JSON model, its nodes in depth-first order, which ONNX Runtime reads fastest."""
    if any(tree["split_type"]):
        raise NotImplementedError("XGBoost's own categorical splits have no ONNX converter here; use an encoder")
    if tree["tree_param"].get("size_leaf_vector", "1") not in ("0", "1"):
        raise NotImplementedError("XGBoost's trees of several outputs have no ONNX converter here")
    lefts, rights = tree["left_children"], tree["right_children"]
    order, pending = [], [0]
    while pending:
        node = pending.pop()
        order.append(node)
        if lefts[node] >= 0:
            pending += [rights[node], lefts[node]]
    place = {node: i for i, node in enumerate(order)}
    for node in order:
        value = float(np.float32(tree["split_conditions"][node]))
        if lefts[node] < 0:
            trees.leaf(number, place[node], {target: value})
        else:
            trees.split(
                number, place[node], feature=tree["split_indices"][node], mode=LESS, value=value,
                true=place[lefts[node]], false=place[rights[node]], missing=bool(tree["default_left"][node]),
            )  # fmt: skip
