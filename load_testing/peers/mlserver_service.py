"""MLServer: `python -m load_testing.peers.mlserver_service`."""

import asyncio
import os
from typing import Any

from mlserver import MLModel, MLServer, ModelSettings, Settings
from mlserver.handlers import custom_handler

from load_testing.baselines.tutorial_onnx import Row, answers


class Model(MLModel):  # type: ignore[misc]
    """Custom handlers: in the server's own protocol a row is a tensor for each feature, which costs more."""

    async def load(self) -> bool:
        """Nothing to do: the model is loaded with the module."""
        return True

    @custom_handler(rest_path="/predict")  # type: ignore[untyped-decorator]
    async def row(self, row: Row) -> dict[str, Any]:  # type: ignore[valid-type]
        """One row."""
        return answers([row])[0]

    @custom_handler(rest_path="/predict/batch")  # type: ignore[untyped-decorator]
    async def rows(self, rows: list[Row]) -> dict[str, Any]:  # type: ignore[valid-type]
        """Many rows."""
        predictions = answers(rows)
        return {"predictions": predictions, "batch_size": len(predictions)}


async def serve() -> None:
    """In this process: on one core, the workers that MLServer starts by default cost more than they gain."""
    settings = Settings(
        host="127.0.0.1", http_port=int(os.environ["SERVE_PORT"]), parallel_workers=0, debug=False,
        load_models_at_startup=False,
    )  # fmt: skip
    await MLServer(settings).start([ModelSettings(name="model", implementation=Model)])


if __name__ == "__main__":
    asyncio.run(serve())
