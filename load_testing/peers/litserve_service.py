"""LitServe: `python -m load_testing.peers.litserve_service`."""

import os
from typing import Any

import litserve

from load_testing.baselines.tutorial_onnx import Row, answers


class RowApi(litserve.LitAPI):  # type: ignore[misc]
    """One row."""

    def setup(self, device: str) -> None:
        """Nothing to do: the model is loaded with the module."""

    def decode_request(self, request: dict[str, Any]) -> list[Any]:
        """A batch of one, validated in the process of the model, since requests are pickled on their way to it."""
        return [Row.model_validate(request)]

    def predict(self, x: list[Any]) -> dict[str, Any]:
        """The answer's content."""
        return answers(x)[0]


class BatchApi(litserve.LitAPI):  # type: ignore[misc]
    """Many rows."""

    def setup(self, device: str) -> None:
        """Nothing to do: the model is loaded with the module."""

    def decode_request(self, request: list[dict[str, Any]]) -> list[Any]:
        """The rows, validated."""
        return [Row.model_validate(row) for row in request]

    def predict(self, x: list[Any]) -> dict[str, Any]:
        """The answer's content."""
        predictions = answers(x)
        return {"predictions": predictions, "batch_size": len(predictions)}


if __name__ == "__main__":
    server = litserve.LitServer(
        [RowApi(api_path="/predict"), BatchApi(api_path="/predict/batch")],
        accelerator="cpu",
        fast_queue=True,
        healthcheck_path="/health/ready",
    )
    server.run(
        host="127.0.0.1", port=int(os.environ["SERVE_PORT"]), num_api_servers=1, generate_client_file=False,
        log_level="warning", access_log=False,
    )  # fmt: skip
