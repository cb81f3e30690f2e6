"""BentoML: `python -m load_testing.peers.bentoml_service`."""

import os
import sys
from pathlib import Path
from typing import Any

import bentoml

from load_testing.baselines.tutorial_onnx import Row, answers


@bentoml.service(workers=1)
class Service:
    """The rows are BentoML's root input: the body is the row, or the list of rows, itself."""

    @bentoml.api(route="/predict")  # type: ignore[untyped-decorator]
    async def predict(self, row: Row, /) -> dict[str, Any]:  # type: ignore[valid-type]
        """One row."""
        return answers([row])[0]

    @bentoml.api(route="/predict/batch")  # type: ignore[untyped-decorator]
    async def predict_batch(self, rows: list[Row], /) -> dict[str, Any]:  # type: ignore[valid-type]
        """Many rows."""
        predictions = answers(rows)
        return {"predictions": predictions, "batch_size": len(predictions)}


if __name__ == "__main__":
    command = str(Path(sys.executable).with_name("bentoml"))
    address = ("--host", "127.0.0.1", "--port", os.environ["SERVE_PORT"])
    os.execv(command, [command, "serve", "load_testing.peers.bentoml_service:Service", *address])  # noqa: S606
