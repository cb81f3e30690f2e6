"""What every measurement of a bundle's services records about the bundle."""

from typing import Any

from bundle.manifest import Manifest
from bundle.result import Result, made_now

LIBRARIES = (
    "locust",
    "gevent",
    "onnxruntime",
    "scikit-learn",
    "xgboost-cpu",
    "xgboost",
    "fastapi",
    "uvicorn",
    "msgspec",
)
"""What is measured, and what measures."""


class ModelResult(Result, frozen=True, kw_only=True):
    """The bundle that was measured; `data_source` is what its model was trained on."""

    model: str
    version: str
    data_source: str

    def facts(self) -> dict[str, str]:
        """The model."""
        return {"model": f"{self.model} {self.version}, trained on data from: {self.data_source}"}


def origin(manifest: Manifest) -> dict[str, Any]:
    """The fields of `ModelResult`, for a measurement of this bundle that this process has just made."""
    return {
        "model": manifest.name,
        "version": manifest.version,
        "data_source": manifest.data_source,
        **made_now(LIBRARIES),
    }
