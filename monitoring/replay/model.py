"""A bundle's pickle and graph in this process, asked as training asks them."""

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import joblib
import onnxruntime
import polars as pl

from bundle.artifacts import read_artifact
from bundle.manifest import CATEGORICAL_KINDS, Manifest, read_manifest
from bundle.session_options import PROVIDERS, as_served
from monitoring.errors import ReplayError
from monitoring.record.rows import Rows
from monitoring.replay.answered import Answered, RefusedError, ask_apart
from training.export.interface import Interface, Tensors
from training.export.predictions import Predictions, predict_estimator, predict_session

PICKLE, ONNX = "pickle, in process", "ONNX graph, in process"


class BundleModel:
    """The bundle in a folder. Its pickle is unpickled, after its digest was checked."""

    def __init__(self, folder: Path) -> None:
        """Raises BundleError or ReplayError: there is no whole bundle, or its model can't be loaded here."""
        self.manifest = read_manifest(folder)
        self._interface = interface_of(self.manifest)
        self.ways: Mapping[str, Callable[[Rows], Answered]] = {
            way: lambda rows, way=way, predict=predict: self._answer(rows, way, predict)  # type: ignore[misc]
            for way, predict in self._load(folder).items()
        }
        missing = [] if PICKLE in self.ways else ["the bundle has no pickle, so that only its graph answers"]
        self.notes: Sequence[str] = missing

    def close(self) -> None:
        """There is nothing to release but memory."""

    def _load(self, folder: Path) -> dict[str, Callable[[Tensors], Predictions]]:
        manifest = self.manifest
        ways: dict[str, Callable[[Tensors], Predictions]] = {}
        try:
            if "pickle" in manifest.artifacts:
                estimator = joblib.load(io.BytesIO(read_artifact(manifest, "pickle", folder)))
                ways[PICKLE] = lambda tensors: predict_estimator(estimator, self._interface, tensors)
            graph = read_artifact(manifest, "onnx_packed", folder)
            options = as_served(onnxruntime.SessionOptions())
            session = onnxruntime.InferenceSession(graph, options, providers=PROVIDERS)
        except (ImportError, AttributeError, TypeError, ValueError, RuntimeError, EOFError) as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise ReplayError(f"{folder}: the model can't be loaded here ({reason}); make it again") from error
        ways[ONNX] = lambda tensors: predict_session(session, self._interface, tensors)
        return ways

    def _answer(self, rows: Rows, way: str, predict: Callable[[Tensors], Predictions]) -> Answered:
        tensors = self._interface.tensors(with_unseen(rows, self.manifest))
        answered = Answered()

        def ask(places: Sequence[int]) -> Predictions:
            try:
                return predict(tensors.at(places))
            except Exception as error:  # pipelines raise whatever comes up; ONNX Runtime's errors have no base class
                what = "pickle" if way == PICKLE else "graph"
                raise RefusedError(f"the {what} raises {type(error).__name__}") from error

        ask_apart(ask, list(range(len(rows.lines))), answered)
        return answered


def interface_of(manifest: Manifest) -> Interface:
    """The interface that training made the manifest from."""
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
