"""The committed result files, and where they come from."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from experiments.load.image_sizes import ImagesReport
from experiments.report.errors import ClaimError
from experiments.report.files import decode
from experiments.report.page_errors import ReportError
from experiments.study.results import StudyResult
from experiments.study.session_results import SessionResult
from experiments.study.tree_costs_results import TreeCosts
from load_testing.command_results import FairnessReport, ProfileReport, SkewReport, WorkersReport
from load_testing.results import Benchmark
from training.report.training_report import TrainingReport

FOLDER = Path("experiments/results")


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """One result of each kind; a field's name is that of its file."""

    training: TrainingReport
    benchmark: Benchmark
    skew: SkewReport
    workers: WorkersReport
    fairness: FairnessReport
    profile: ProfileReport
    images: ImagesReport
    study: StudyResult
    session_options: SessionResult
    tree_costs: TreeCosts


Result = (
    TrainingReport
    | Benchmark
    | SkewReport
    | WorkersReport
    | FairnessReport
    | ProfileReport
    | ImagesReport
    | StudyResult
    | SessionResult
    | TreeCosts
)


@dataclass(frozen=True)
class Source:
    """A kind of result: its type, its path under `reports/`, and the command that makes it."""

    kind: type[Result]
    path: str
    command: str


SOURCES = {
    "training": Source(TrainingReport, "training/report.json", "make train"),
    "benchmark": Source(Benchmark, "benchmark.json", "make bench"),
    "skew": Source(SkewReport, "skew.json", "make skew"),
    "workers": Source(WorkersReport, "workers.json", "make workers"),
    "fairness": Source(FairnessReport, "fairness.json", "make fairness"),
    "profile": Source(ProfileReport, "profile.json", "make profile"),
    "images": Source(ImagesReport, "images.json", "make images"),
    "study": Source(StudyResult, "study/study.json", "make study"),
    "session_options": Source(SessionResult, "study/session_options.json", "make session-options"),
    "tree_costs": Source(TreeCosts, "study/tree_costs.json", "make tree-costs"),
}


def read_result(path: Path, source: Source) -> Result:
    """A result file.

    Raises:
        ClaimError: it can't be read, or isn't such a result.
    """
    try:
        return decode(path, source.kind)
    except ReportError as error:
        raise ClaimError(str(error)) from error


def read_results(folder: Path) -> Results:
    """All results of the folder, which must be of one model.

    Raises:
        ClaimError: a file is missing or broken, or the files are of different models.
    """
    found: dict[str, Any] = {}
    for name, source in SOURCES.items():
        path = folder / f"{name}.json"
        if not path.exists():
            raise ClaimError(f"{path}: missing; `{source.command}`, then `make record-results`")
        found[name] = read_result(path, source)
    by_model = names_by_model(found)
    if len(by_model) > 1:
        raise ClaimError(f"{folder}: figures of different models: {describe_models(by_model)}; measure the others anew")
    return Results(**found)


def model_of(result: Result) -> str | None:
    """Name and version of the bundle that was measured; None of what needs no bundle."""
    if isinstance(result, TrainingReport):
        return f"{result.manifest.name} {result.manifest.version}"
    if isinstance(result, ImagesReport | StudyResult | TreeCosts):
        return None
    return f"{result.model} {result.version}"


def created_of(result: Result) -> datetime:
    """When it was measured."""
    return result.manifest.created if isinstance(result, TrainingReport) else result.created


def names_by_model(results: dict[str, Result]) -> dict[str, list[str]]:
    """{model: the names of its results}."""
    found: dict[str, list[str]] = {}
    for name, result in results.items():
        if model := model_of(result):
            found.setdefault(model, []).append(name)
    return found


def describe_models(by_model: dict[str, list[str]]) -> str:
    """Which results are of which model."""
    return "; ".join(f"{', '.join(names)} of {model}" for model, names in by_model.items())
