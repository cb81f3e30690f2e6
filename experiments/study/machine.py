"""What the study ran on, and what else ran on it meanwhile."""

import os
import time
from typing import Any

import psutil

from bundle.result import Result, made_now
from training.manifest import LIBRARIES as TRAINING_LIBRARIES

LIBRARIES = (*TRAINING_LIBRARIES, "xgboost-cpu", "xgboost", "skl2onnx")


class ResultBesideOthers(Result, frozen=True, kw_only=True):
    """A result of times in process. `others_cpus` is how many CPUs other processes kept busy meanwhile, on average."""

    others_cpus: float

    def facts(self) -> dict[str, str]:
        """What else the machine did."""
        return {"meanwhile": f"other processes kept {self.others_cpus:.1f} CPUs busy"}


class OthersClock:
    """How many CPUs other processes keep busy on average, since it was made."""

    def __init__(self) -> None:
        self._started, self._busy, self._own = time.perf_counter(), _busy_seconds(), _own_seconds()

    def cpus(self) -> float:
        """The average until now."""
        others = (_busy_seconds() - self._busy) - (_own_seconds() - self._own)
        return max(0.0, others / (time.perf_counter() - self._started))

    def origin(self) -> dict[str, Any]:
        """The fields of `ResultBesideOthers`, for a result that was measured since then."""
        return {**made_now(LIBRARIES), "others_cpus": self.cpus()}


def _busy_seconds() -> float:
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0))


def _own_seconds() -> float:
    used = os.times()
    return used.user + used.system
