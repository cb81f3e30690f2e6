"""FastAPI and a pickled pipeline, as in the public examples."""

import os
import pickle
from pathlib import Path
from typing import Any

import polars as pl
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from bundle.artifacts import read_artifact
from bundle.manifest import read_manifest
from load_testing.baselines.schema import add_health, check_servable, filled, prediction, prediction_model, row_model

models = Path(os.environ.get("SERVE_MODEL_DIR", "models"))
manifest = read_manifest(models)
check_servable(manifest)
pipeline = pickle.loads(read_artifact(manifest, "pickle", models))  # noqa: S301 - the digest was checked
Row, Prediction = row_model(manifest), prediction_model(manifest)
SCHEMA = {feature.name: pl.Float64 if feature.kind == "numeric" else pl.String for feature in manifest.features}

app = FastAPI()
add_health(app)


class Batch(BaseModel):
    """The answer to a batch."""

    predictions: list[Prediction]  # type: ignore[valid-type]
    batch_size: int


def answers(rows: list[BaseModel]) -> list[dict[str, object]]:
    """Predictions of the rows: a frame, `predict` and then `predict_proba`."""
    frame = pl.DataFrame([filled(manifest, row, None) for row in rows], schema=SCHEMA)
    labels, probabilities = pipeline.predict(frame), pipeline.predict_proba(frame)
    return [
        prediction(manifest, int(label), [float(p) for p in row])
        for label, row in zip(labels, probabilities, strict=True)
    ]


@app.post("/predict", response_model=Prediction)
def predict(row: Row) -> Any:  # type: ignore[valid-type]  # noqa: ANN401
    """One row."""
    return answers([row])[0]


@app.post("/predict/batch", response_model=Batch)
def predict_batch(rows: list[Row]) -> Any:  # type: ignore[valid-type]  # noqa: ANN401
    """Many rows."""
    predictions = answers(rows)
    return {"predictions": predictions, "batch_size": len(predictions)}


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ["SERVE_PORT"]), access_log=False, log_level="warning")
