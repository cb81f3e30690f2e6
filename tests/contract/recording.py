"""Read what a service has recorded, and work out what it had to record."""

import gzip
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from bundle.manifest import CATEGORICAL_KINDS, Feature
from tests.hand_made_bundle import Row

NAME = re.compile(r"record-\d{8}T\d{6}\.\d{6}Z-(onnx|pickle|axum)-\d+-\d+\.jsonl\.gz")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
KEYS = (
    "time", "request_id", "row", "route", "service", "model", "version", "features", "missing", "unseen", "prediction",
)  # fmt: skip


def whole_files(folder: Path) -> list[Path]:
    """The files under their final names; there must be no others but unfinished ones."""
    files = sorted(folder.iterdir())
    whole = [file for file in files if NAME.fullmatch(file.name)]
    unfinished = [file for file in files if re.fullmatch(rf"\.{NAME.pattern}\.part", file.name)]
    assert len(whole) + len(unfinished) == len(files), files
    return whole


def texts(folder: Path) -> list[str]:
    """The lines of all whole files."""
    return [line for file in whole_files(folder) for line in gzip.decompress(file.read_bytes()).decode().splitlines()]


def lines(folder: Path) -> list[Row]:
    """What the lines of all whole files say, in the order of time and row."""
    found = [json.loads(line) for line in texts(folder)]
    return sorted(found, key=lambda line: (line["time"], line["request_id"], line["row"]))


def metric(client: httpx.Client, sample: str) -> float:
    """A sample's value; 0 if there is none."""
    values = [
        line.rpartition(" ")[2] for line in client.get("/metrics").text.splitlines() if line.startswith(f"{sample} ")
    ]
    return sum(map(float, values))


def shortest(value: float) -> float:
    """The float32's shortest decimal."""
    return float(str(np.float32(value)))


def understood(features: Sequence[Feature], row: Row) -> Row:
    """What a line says of a row's features."""
    values: dict[str, Any] = {}
    missing, unseen = [], []
    for feature in features:
        value = row[feature.name]
        if value is None:
            missing.append(feature.name)
        elif feature.kind in CATEGORICAL_KINDS:
            if not feature.open and value not in feature.categories + feature.rare:
                unseen.append(feature.name)
                value = None
        elif feature.kind == "numeric":
            value = int(value) if feature.integer else shortest(value)
        values[feature.name] = value
    return {"features": values, "missing": missing, "unseen": unseen}


def answered(answer: Row) -> Row:
    """What a line says of an answer."""
    if "probabilities" not in answer:
        return {"prediction": shortest(answer["prediction"])}
    return {"prediction": answer["prediction"], "probabilities": [shortest(value) for value in answer["probabilities"]]}
