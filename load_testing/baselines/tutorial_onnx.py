"""FastAPI and ONNX Runtime, as in the public examples."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from bundle.artifacts import read_artifact
from bundle.manifest import read_manifest
from load_testing.baselines.schema import add_health, check_servable, filled, prediction, prediction_model, row_model

models = Path(os.environ.get("SERVE_MODEL_DIR", "models"))
manifest = read_manifest(models)
check_servable(manifest)
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = int(os.environ.get("TUTORIAL_ONNX_THREADS", "0"))  # 0 is the default: one per host core
session = onnxruntime.InferenceSession(read_artifact(manifest, "onnx", models), options)
Row, Prediction = row_model(manifest), prediction_model(manifest)

app = FastAPI()
add_health(app)


class Batch(BaseModel):
    """The answer to a batch."""

    predictions: list[Prediction]  # type: ignore[valid-type]
    batch_size: int


def feeds(rows: list[BaseModel]) -> dict[str, Any]:
    """A column [rows, 1] per input."""
    values = [filled(manifest, row, manifest.tokens.missing) for row in rows]
    return {
        feature.name: np.array(
            [[value[feature.name]] for value in values], dtype=np.float32 if feature.kind == "numeric" else object
        )
        for feature in manifest.features
    }


def answers(rows: list[BaseModel]) -> list[dict[str, object]]:
    """Predictions of the rows."""
    labels, probabilities = session.run(None, feeds(rows))
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
