"""A record folder as the services write it: answers of a bundle to given rows."""

import gzip
import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from bundle.artifacts import read_artifact
from bundle.graph_names import CATEGORICAL, NUMERIC, outputs_of
from bundle.manifest import Manifest, read_manifest

START = datetime(2026, 11, 23, 8, tzinfo=UTC)
ROWS_OF_A_MEMBER = 500
Row = dict[str, Any]

_numbers = itertools.count()


def write_record(
    folder: Path,
    models: Path,
    rows: Sequence[Row],
    *,
    batch: int = 1,
    start: datetime = START,
    span: timedelta = timedelta(days=1),
    service: str = "onnx",
    fields: Sequence[str] | None = None,
    rows_of_a_file: int = 5000,
    **changes: Any,
) -> list[Path]:
    """Files of the rows, asked in requests of `batch` over `span`; JSON objects, a category that the model doesn't know
    being unseen. `fields` are the recorded features. `changes` replace parts of every line. Returns the files.
    """
    lines = list(record_lines(models, rows, batch=batch, start=start, span=span, service=service, fields=fields))
    return write_lines(folder, [line | changes for line in lines], service=service, rows_of_a_file=rows_of_a_file)


def record_lines(
    models: Path, rows: Sequence[Row], *, batch: int, start: datetime, span: timedelta, service: str, fields: Any
) -> Iterator[dict[str, Any]]:
    manifest = read_manifest(models)
    recorded = [understand(manifest, row) for row in rows]
    answers = answers_of(models, manifest, recorded)
    for number, ((features, missing, unseen), answer) in enumerate(zip(recorded, answers, strict=True)):
        request, place = divmod(number, batch)
        at = start + span * (request * batch / len(rows))
        chosen = list(features) if fields is None else fields
        yield {
            "time": at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "request_id": f"{service}-{request:08x}",
            "row": place,
            "route": "/predict" if batch == 1 else "/predict/batch",
            "service": service,
            "model": manifest.name,
            "version": manifest.version,
            "features": {name: value for name, value in features.items() if name in chosen},
            "missing": [name for name in missing if name in chosen],
            "unseen": [name for name in unseen if name in chosen],
            **answer,
        }


def answers_of(models: Path, manifest: Manifest, recorded: Sequence[tuple[Row, list[str], list[str]]]) -> list[Row]:
    """What the bundle's graph answers to understood rows, as it is recorded."""
    tokens = manifest.tokens

    def text(name: str, understood: tuple[Row, list[str], list[str]]) -> str:
        features, _, unseen = understood
        return tokens.unseen if name in unseen else tokens.missing if features[name] is None else features[name]

    def number(name: str, value: Any) -> float:
        if isinstance(value, str):
            return float((date.fromisoformat(value) - date(1970, 1, 1)).days)
        return float("nan") if value is None else float(value)

    texts = [[text(f.name, understood) for f in manifest.categorical] for understood in recorded]
    numbers = [[number(f.name, features[f.name]) for f in manifest.numeric] for features, _, _ in recorded]
    session = onnxruntime.InferenceSession(read_artifact(manifest, "onnx_packed", models))
    feeds = {CATEGORICAL: np.array(texts, dtype=object), NUMERIC: np.array(numbers, dtype=np.float32)}
    outputs = session.run(outputs_of(manifest.task), {node.name: feeds[node.name] for node in session.get_inputs()})
    shortest = [[json.loads(str(value)) for value in row] for row in outputs[-1].reshape(len(recorded), -1)]
    if manifest.task == "regression":
        return [{"prediction": value} for (value,) in shortest]
    labels = outputs[0].tolist()
    return [{"prediction": a, "probabilities": b} for a, b in zip(labels, shortest, strict=True)]


def understand(manifest: Manifest, row: Row) -> tuple[Row, list[str], list[str]]:
    """A row's features as a service records them, and the names of the missing and the unseen ones."""
    features: Row = {}
    missing, unseen = [], []
    for feature in manifest.features:
        value = row[feature.name]
        if value is None:
            missing.append(feature.name)
        elif feature.kind in ("ordinal", "nominal"):
            if not feature.open and value not in (*feature.categories, *feature.rare):
                unseen.append(feature.name)
                value = None
        elif feature.kind == "numeric":
            value = int(value) if feature.integer else json.loads(str(np.float32(value)))
        features[feature.name] = value
    return features, missing, unseen


def write_lines(folder: Path, lines: Iterable[Row], *, service: str = "onnx", rows_of_a_file: int = 5000) -> list[Path]:
    """Files of some thousand lines each, of several gzip members."""
    folder.mkdir(exist_ok=True, parents=True)
    paths = []
    for part in _parts(list(lines), rows_of_a_file):
        at = datetime.fromisoformat(part[0]["time"])
        path = folder / f"record-{at:%Y%m%dT%H%M%S.%fZ}-{service}-4711-{next(_numbers)}.jsonl.gz"
        with path.open("wb") as stream:
            for member in _parts(part, ROWS_OF_A_MEMBER):
                text = "".join(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n" for line in member)
                stream.write(gzip.compress(text.encode(), compresslevel=1))
        paths.append(path)
    return paths


def _parts(lines: Sequence[Row], size: int) -> Iterator[Sequence[Row]]:
    return (lines[start : start + size] for start in range(0, len(lines), size))
