"""Sentences that say by which command, when and where figures were measured."""

from collections.abc import Iterable

from experiments.report.commands import as_make
from experiments.report.numbers import kernel
from experiments.report.recorded_results import Result, created_of
from experiments.study.results import StudyResult
from experiments.study.session_results import SessionResult
from experiments.study.tree_costs_results import TreeCosts

_NAMES = {"onnxruntime": "ONNX Runtime", "xgboost-cpu": "XGBoost", "xgboost": "XGBoost", "scikit-learn": "scikit-learn"}


def by_place(results: Iterable[Result]) -> str:
    """`by ...; by ...: on this machine`, and the next machine, if they are not all of one."""
    places: dict[str, list[str]] = {}
    for result in results:
        run = f"`{as_make(result.command)}` of {created_of(result):%Y-%m-%d}"
        if isinstance(result, StudyResult | TreeCosts | SessionResult):
            run += f" (other processes kept {result.others_cpus:.1f} CPUs busy)"
        places.setdefault(_place(result), []).append(run)
    return "; ".join(f"by {', '.join(runs)} on {place}" for place, runs in places.items())


def _place(result: Result) -> str:
    machine = result.machine
    named = [f"{_NAMES[key]} {version}" for key, version in machine.libraries.items() if key in _NAMES]
    memory = f"{machine.memory_bytes / 1e9:.0f} GB"
    return ", ".join([f"{machine.cpus} cores ({machine.processor}, {kernel(machine.system)})", memory, *sorted(named)])
