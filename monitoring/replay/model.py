"""A bundle's pickle and graph in this process, asked as training asks them."""

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import onnxruntime
import polars as pl

from bundle.artifacts import read_artifact
from bundle.graph_names import CATEGORICAL, NUMERIC, outputs_of
from bundle.manifest import CATEGORICAL_KINDS, Manifest, read_manifest
from bundle.session_options import PROVIDERS, as_served
from monitoring.errors import ReplayError
from monitoring.record.rows import Rows
from monitoring.replay.answered import Answered, Answers, RefusedError, ask_apart
from training.export.interface import Interface, Tensors
from training.export.predictions import predict_estimator

PICKLE, ONNX = "pickle, in process", "ONNX graph, in process"


class BundleModel:
    """The bundle in a folder. Its pickle is unpickled, after its digest was checked."""

    def __init__(self, folder: Path) -> None:
        """Raises BundleError or ReplayError: there is no whole bundle, or its model can't be loaded here."""
        self.manifest = read_manifest(folder)
        self._interface = interface_of(self.manifest)
        self.ways: Mapping[str, Callable[[Rows], Answered]] = {
            way: lambda rows, answer=answer: self._answer(rows, answer)  # type: ignore[misc]
            for way, answer in self._load(folder).items()
        }
        missing = [] if PICKLE in self.ways else ["the bundle has no pickle, so that only its graph answers"]
        self.notes: Sequence[str] = missing

    def close(self) -> None:
        """Nothing to give up but memory."""

    def _load(self, folder: Path) -> dict[str, Callable[[Tensors], Answers]]:
        manifest, ways = self.manifest, {}
        try:
            if "pickle" in manifest.artifacts:
                estimator = joblib.load(io.BytesIO(read_artifact(manifest, "pickle", folder)))
                ways[PICKLE] = lambda tensors: self._ask_estimator(estimator, tensors)
            graph = read_artifact(manifest, "onnx_packed", folder)
            options = as_served(onnxruntime.SessionOptions())
            session = onnxruntime.InferenceSession(graph, options, providers=PROVIDERS)
        except (ImportError, AttributeError, TypeError, ValueError, RuntimeError, EOFError) as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise ReplayError(f"{folder}: the model can't be loaded here ({reason}); make it again") from error
        inputs = {node.name for node in session.get_inputs()}
        ways[ONNX] = lambda tensors: self._ask_session(session, inputs, tensors)
        return ways

    def _answer(self, rows: Rows, answer: Callable[[Tensors], Answers]) -> Answered:
        tensors = self._interface.tensors(with_unseen(rows, self.manifest))
        answered = Answered()

        def ask(places: Sequence[int]) -> Answers:
            return answer(Tensors(tensors.categorical[places], tensors.numeric[places]))

        ask_apart(ask, list(range(len(rows.lines))), answered)
        return answered

    def _ask_estimator(self, estimator: Any, tensors: Tensors) -> Answers:  # noqa: ANN401 - any fitted estimator
        try:
            return Answers(*_parts(predict_estimator(estimator, self._interface, tensors)))
        except Exception as error:  # a pipeline refuses rows with whatever comes up
            raise RefusedError(f"the pickle raises {type(error).__name__}") from error

    def _ask_session(self, session: Any, inputs: set[str], tensors: Tensors) -> Answers:  # noqa: ANN401
        feeds = {CATEGORICAL: tensors.categorical, NUMERIC: tensors.numeric}
        try:
            outputs = session.run(outputs_of(self.manifest.task), {name: feeds[name] for name in inputs})
        except Exception as error:  # those of ONNX Runtime have no base class of their own
            raise RefusedError(f"the graph raises {type(error).__name__}") from error
        if self.manifest.task == "regression":
            return Answers(np.zeros(len(outputs[0]), dtype=np.int64), outputs[0].reshape(-1, 1))
        return Answers(*outputs)


def _parts(predictions: Any) -> tuple[Any, Any]:  # noqa: ANN401 - training's Predictions
    return predictions.labels, predictions.numbers


def interface_of(manifest: Manifest) -> Interface:
    """The interface that training made the manifest of."""
    positive = manifest.classes.index(manifest.positive_class) if manifest.positive_class is not None else 1
    return Interface(
        task=manifest.task,
        features=manifest.features,
        tokens=manifest.tokens,
        classes=manifest.classes,
        positive=positive,
        threshold=manifest.decision_threshold,
        frame=manifest.frame,
    )


def with_unseen(rows: Rows, manifest: Manifest) -> pl.DataFrame:
    """The rows' frame, with the bundle's token where a category was unseen."""
    columns = []
    for feature in manifest.features:
        column = rows.frame[feature.name]
        if feature.kind in CATEGORICAL_KINDS and feature.name in rows.unseen:
            mask = pl.Series(rows.unseen[feature.name])
            column = column.zip_with(~mask, pl.Series([manifest.tokens.unseen], dtype=pl.String))
        columns.append(column)
    return pl.DataFrame(columns)
