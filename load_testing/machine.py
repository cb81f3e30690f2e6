"""What a load test ran on."""

from bundle import machine
from bundle.machine import Machine

_LIBRARIES = (
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


def describe_machine() -> Machine:
    """This machine, with the versions of what is measured and of what measures."""
    return machine.describe_machine(_LIBRARIES)
