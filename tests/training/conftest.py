"""Fixtures of the training tests: a made-up data set of any shape, and a local web server."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from xgboost import XGBClassifier

from training.data.prepare import PreparedRows, prepare_rows
from training.data.sources import RawRows
from training.dataset import Dataset, Nominal, Numeric, Ordinal
from training.model.evaluation import Scored, best_threshold
from training.model.fitting import Model
from training.model.pipeline import apply_threshold, build_pipeline
from training.model.score import parse_score

F2 = parse_score("f2", "binary_classification")
ALL_KINDS = ("numeric", "ordinal", "nominal")
FEATURES = {
    "numeric": (Numeric(name="weight", nullable=True), Numeric(name="age", integer=True)),
    "ordinal": (Ordinal(name="grade", categories=("poor", "fair", "good"), nullable=True),),
    "nominal": (Nominal(name="colour", nullable=True), Nominal(name="soil")),
}


def orchard(*kinds: str, rows: int = 400) -> tuple[Dataset, pl.DataFrame]:
    """A data set with features of the given kinds (default: all), some with missing values, and its rows."""
    kinds = kinds or ALL_KINDS
    generator = np.random.default_rng(11)
    weight = generator.normal(150, 30, rows)
    age = generator.integers(1, 40, rows)
    grade = generator.choice(["poor", "fair", "good"], rows)
    colour = generator.choice(["red", "green", "yellow"], rows, p=[0.5, 0.45, 0.05])
    soil = generator.choice(["clay", "sand"], rows)
    merit = (weight - 150) / 30 + (grade == "good") - (colour == "green") + 0.5 * (soil == "clay") - age / 40
    sold = merit + generator.normal(0, 0.5, rows) > 0.3
    frame = pl.DataFrame(
        {
            "weight": pl.Series(np.where(generator.random(rows) < 0.1, np.nan, weight)).fill_nan(None),
            "age": pl.Series(age, dtype=pl.Float64),
            "grade": pl.Series(grade, dtype=pl.String),
            "colour": pl.Series(np.where(generator.random(rows) < 0.1, "", colour), dtype=pl.String),
            "soil": pl.Series(soil, dtype=pl.String),
            "sold": pl.Series(np.where(sold, "yes", "no"), dtype=pl.String),
        }
    ).with_columns(
        pl.col("colour").replace("", None),
        pl.when(pl.Series(generator.random(rows) < 0.1)).then(None).otherwise(pl.col("grade")).alias("grade"),
    )
    features = tuple(feature for kind in kinds for feature in FEATURES[kind])
    dataset = Dataset(
        name="orchard",
        source="farm",
        features=features,
        target="sold",
        classes=("no", "yes"),
        files=(),
        parse=lambda _: frame,
        min_frequency=1,  # few rows, and all their categories are to be told apart
    )
    return dataset, frame.select(*(feature.name for feature in features), "sold")


def prepared(dataset: Dataset, frame: pl.DataFrame) -> PreparedRows:
    return prepare_rows(dataset, RawRows(frame, dataset.source))


def fitted(
    rows: PreparedRows, fit: Callable[[XGBClassifier, np.ndarray], object] | None = None, **parameters: object
) -> Model:
    """A model of few trees. `fit` may fit the classifier in a way of its own, on the preprocessed training rows.

    The threshold is chosen on the training rows themselves: good enough where only its application is tested.
    """
    pipeline = build_pipeline(rows.dataset, {"n_estimators": 12, "max_depth": 3, **parameters}, rows.wide, seed=1)
    if fit is None:
        pipeline.fit(rows.features, rows.target)
    else:
        matrix = pipeline.named_steps["preprocessing"].fit_transform(rows.features).astype(np.float32)
        fit(pipeline.named_steps["model"], matrix)
    probability = pipeline.predict_proba(rows.features)[:, 1]
    threshold = best_threshold(F2, rows.target, probability)
    classifier = apply_threshold(pipeline, threshold, rows.features, rows.target)
    return Model(classifier, pipeline, threshold, Scored(rows.target, probability))


@pytest.fixture(scope="session")
def made_up() -> SimpleNamespace:
    """The functions above, and the rows of a data set with features of all kinds."""
    rows = prepared(*orchard())
    return SimpleNamespace(orchard=orchard, prepared=prepared, fitted=fitted, rows=rows)


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """A server on 127.0.0.1: `pages` are path to bytes, status, or a function that answers; `asked` are the paths."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    pages: dict[str, bytes | int | Callable[[BaseHTTPRequestHandler], None]] = {}
    asked: list[str] = []
    over = threading.Event()

    class PageHandler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the client gave up, as it should
                self.answer(pages.get(self.path, 404))

        def answer(self, page):
            if isinstance(page, int):
                self.send_error(page)
            elif isinstance(page, bytes):
                self.send_response(200)
                self.send_header("Content-Length", str(len(page)))
                self.end_headers()
                self.wfile.write(page)
            else:
                page(self)

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), PageHandler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield SimpleNamespace(url=f"http://127.0.0.1:{server.server_port}", pages=pages, asked=asked, over=over)
    over.set()
    server.shutdown()
    server.server_close()
    thread.join()
