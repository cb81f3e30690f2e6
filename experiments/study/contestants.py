"""The two ways to the same prediction: the native pipeline, and its graph in ONNX Runtime."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import onnxruntime
import polars as pl
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, is_classifier
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits
from xgboost import XGBClassifier

from bundle.graph_names import LABEL, PROBABILITIES, VALUE
from bundle.manifest import Tokens
from bundle.session_options import PROVIDERS, as_served
from experiments.study.conversion import TOKENS
from experiments.study.families import ESTIMATOR
from training.data.prepare import Feeds, packed_feeds
from training.dataset import Dataset


class Answer(NamedTuple):
    """`values` float32 [rows]: P(positive), or a regressor's value; `labels` int64 [rows], None for a regressor."""

    labels: NDArray[np.int64] | None
    values: NDArray[np.float32]


@dataclass(frozen=True)
class StudyBatch:
    """The same rows as each side takes them: the pipeline's frame, and the graph's packed tensors."""

    frame: pl.DataFrame
    feeds: Feeds

    @classmethod
    def of(cls, dataset: Dataset, frame: pl.DataFrame, tokens: Tokens = TOKENS) -> "StudyBatch":
        """The batch of a frame of features, for a graph with these tokens."""
        return cls(frame, packed_feeds(dataset, frame, tokens))


class NativePipeline:
    """The fitted pipeline, called as the pickle service calls it: probabilities once, the label from the threshold."""

    def __init__(self, pipeline: Pipeline, threshold: float) -> None:
        self._pipeline = pipeline
        self._threshold = np.float32(threshold)
        self._classifies = is_classifier(pipeline)

    def predict(self, batch: StudyBatch) -> Answer:
        """One call for the whole batch."""
        if not self._classifies:
            return Answer(None, self._pipeline.predict(batch.frame).astype(np.float32, copy=False))
        positive = self._pipeline.predict_proba(batch.frame).astype(np.float32, copy=False)[:, 1]
        return Answer((positive >= self._threshold).astype(np.int64), positive)

    @contextmanager
    def on_threads(self, threads: int) -> Iterator[None]:
        """Everything that the pipeline is made of (OpenMP, BLAS, XGBoost, joblib) uses this many threads inside."""
        estimator = self._pipeline.named_steps[ESTIMATOR]
        with threadpool_limits(limits=threads):
            _set_threads(estimator[-1] if isinstance(estimator, Pipeline) else estimator, threads)
            yield


def _set_threads(estimator: BaseEstimator, threads: int) -> None:
    if "n_jobs" in estimator.get_params():
        estimator.set_params(n_jobs=threads)
    if isinstance(estimator, XGBClassifier):  # its fitted trees have a thread count of their own
        estimator.get_booster().set_param({"nthread": threads})


class OnnxGraph:
    """The packed graph in a session with the product's settings."""

    def __init__(self, content: bytes, threads: int) -> None:
        self._session = open_session(content, product_options(threads))
        self._outputs = [node.name for node in self._session.get_outputs()]

    def predict(self, batch: StudyBatch) -> Answer:
        """One run for the whole batch."""
        results = self._session.run(self._outputs, batch.feeds)
        if self._outputs == [VALUE]:
            return Answer(None, results[0])
        named = dict(zip(self._outputs, results, strict=True))
        return Answer(named[LABEL], named[PROBABILITIES][:, 1])


def open_session(content: bytes, options: onnxruntime.SessionOptions | None = None) -> onnxruntime.InferenceSession:
    """A session of the graph on the CPU, by default with the product's options."""
    return onnxruntime.InferenceSession(content, options or product_options(), providers=PROVIDERS)


def product_options(threads: int = 1) -> onnxruntime.SessionOptions:
    """The options of the ONNX service, except for the number of threads (it uses one)."""
    return as_served(onnxruntime.SessionOptions(), threads)
