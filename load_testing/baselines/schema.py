"""Pydantic models of one row and its answer, as a person would write them out for the model at hand."""

import sys
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel, create_model

from bundle.manifest import Manifest


def check_servable(manifest: Manifest) -> None:
    """End the process with a sentence if the tutorial services, which are kept simple, can't serve the bundle."""
    for feature in manifest.features:
        if feature.kind in ("boolean", "date"):
            sys.exit(f"error: the tutorial services know no {feature.kind} features, such as {feature.name!r}")
        if not feature.name.isidentifier() or feature.name.startswith("_") or hasattr(BaseModel, feature.name):
            sys.exit(f"error: the tutorial services can't give a field the name {feature.name!r}")
    if manifest.task == "regression":
        sys.exit("error: the tutorial services serve classifiers only")
    if manifest.frame != "polars" or any(feature.dtype for feature in manifest.features):
        sys.exit("error: tutorial-pickle serves pipelines that take polars frames of strings and floats only")


def row_model(manifest: Manifest) -> type[BaseModel]:
    """The request body: a float or a string per feature."""
    fields: dict[str, Any] = {}
    for feature in manifest.features:
        kind: Any = float if feature.kind == "numeric" else str
        fields[feature.name] = (kind | None if feature.nullable else kind, ...)
    return create_model("Row", **fields)


def prediction_model(manifest: Manifest) -> type[BaseModel]:
    """The answer to a row."""
    fields: dict[str, Any] = {
        "prediction": (int, ...),
        "probabilities": (list[float], ...),
        f"predicted_{manifest.target}": (type(manifest.classes[0]), ...),
    }
    return create_model("Prediction", **fields)


def prediction(manifest: Manifest, label: int, probabilities: list[float]) -> dict[str, object]:
    """The answer's content."""
    return {
        "prediction": label,
        "probabilities": probabilities,
        f"predicted_{manifest.target}": manifest.classes[label],
    }


def filled(manifest: Manifest, row: BaseModel, missing: str | None) -> dict[str, Any]:
    """The row's values by feature name; a category that is missing is `missing`, a number NaN."""
    values = row.model_dump()
    for feature in manifest.features:
        if values[feature.name] is None:
            values[feature.name] = float("nan") if feature.kind == "numeric" else missing
    return values


def add_health(app: FastAPI) -> None:
    """The route that the benchmark waits for."""

    @app.get("/health/ready")
    def ready() -> dict[str, str]:
        return {"status": "ready"}
