"""Every kind of result, registered once for the page, the record and the documentation."""

from pathlib import Path
from typing import TypeVar

import msgspec

from bundle.result import Result
from experiments.errors import ExperimentError
from experiments.load.fairness import FairnessReport
from experiments.load.image_sizes import ImagesReport
from experiments.load.overload import OverloadReport
from experiments.load.profile import ProfileReport
from experiments.load.protocols import ProtocolsReport
from experiments.load.second_worker import WorkersReport
from experiments.load.soak_report import SoakReport
from experiments.study.results import StudyResult
from experiments.study.session_results import SessionResult
from experiments.study.tree_costs_results import TreeCosts
from load_testing.benchmark_result import Benchmark
from load_testing.skew_report import SkewReport
from training.report.training_report import TrainingReport

KINDS: dict[str, type[Result]] = {
    "training": TrainingReport,
    "benchmark": Benchmark,
    "skew": SkewReport,
    "profile": ProfileReport,
    "workers": WorkersReport,
    "fairness": FairnessReport,
    "protocols": ProtocolsReport,
    "overload": OverloadReport,
    "study": StudyResult,
    "session_options": SessionResult,
    "tree_costs": TreeCosts,
    "images": ImagesReport,
    "soak": SoakReport,
}
"""In the order of the page. A kind's name is that of its recorded file; the type says the rest."""

RESULTS = Path("experiments/results")
"""Where results are recorded, to be committed."""

T = TypeVar("T", bound=Result)


def read_result(path: Path, kind: type[T]) -> T:
    """The result that a file holds.

    Raises:
        ExperimentError: it can't be read, or isn't such a result.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except OSError as error:
        raise ExperimentError(f"{path}: {error.strerror}; `{kind.made_by}` makes it") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ExperimentError(
            f"{path}: not a result that this code reads: {error}; measure again (`{kind.made_by}`), or remove it"
        ) from error
