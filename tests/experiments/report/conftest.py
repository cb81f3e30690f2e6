"""A folder of made-up result files, one of each kind."""

from collections import Counter

import msgspec
import pytest

from bundle.files import encode_result
from experiments.load.fairness import FairnessCell, FairnessReport
from experiments.load.image_sizes import ImageSize, ImagesReport
from experiments.load.overload import OverloadReport, OverloadRow
from experiments.load.profile import ProfileReport, ProfileRow
from experiments.load.protocols import ProtocolCell, ProtocolsReport
from experiments.load.second_worker import WorkersCell, WorkersReport
from experiments.load.soak_faults import HostileCounts
from experiments.load.soak_load import LoadCounts
from experiments.load.soak_report import MemoryGrowth, SoakReport, SoakResult
from experiments.study.cells import Agreement, FamilyFacts, StudyProtocol
from experiments.study.cells import Cell as StudyCell
from experiments.study.results import StudyResult
from experiments.study.session_results import OptionLatency, QuantizationResult, SessionResult, SettingResult, Skew
from experiments.study.tree_costs_results import BatchCost, Cost, ShapeCost, Share, TreeCosts
from load_testing.results import Spread
from load_testing.skew import SkewResult
from load_testing.skew_measurement import SkewRow
from load_testing.skew_report import SkewReport
from tests.load_testing import made_up_benchmark
from tests.load_testing.made_up_benchmark import CREATED, flat, make_cell, make_result
from training.report.training_report import TrainedModel, TrainingReport

SVG = '<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"><text>{}</text></svg>\n'
MACHINE = msgspec.structs.replace(made_up_benchmark.MACHINE, cpus=3)
STUDY_MACHINE = msgspec.structs.replace(
    MACHINE, processor="Abacus 8", cpus=2, memory_bytes=8_000_000_000, system="Linux 5", libraries={"onnx": "1.2.3"},
    commit=None,
)  # fmt: skip


def benchmark(*, failures=None):
    row = SkewRow(
        service="o<n>nx",
        route="/predict",
        result=SkewResult(rows=200, equal_labels=200, equal_probabilities=200),
        failures={},
        seconds=1.5,
    )
    cell = make_cell("o<n>nx", "single", 7512.0, 0.125, failures=failures or {})
    return msgspec.structs.replace(make_result(cells=[cell], skew=[row], left_out=()), machine=MACHINE)


ORIGIN = {
    "model": "m", "version": "abc123", "data_source": "synthetic", "created": CREATED, "machine": MACHINE,
}  # fmt: skip


def skew(*, equal=250):
    result = SkewResult(rows=250, equal_labels=equal, equal_probabilities=equal)
    row = SkewRow(service="o<n>nx", route="/predict", result=result, failures={}, seconds=1.5)
    return SkewReport(**ORIGIN, command="python -m load_testing.skew_command", skew=(row,), left_out=("axum: why",))


def workers():
    cell = WorkersCell(scenario="single", service="onnx", one_cpu_us=flat(50.0), two_cpu_us=flat(62.5), failed=0)
    return WorkersReport(
        **ORIGIN, command="python -m experiments.load.second_worker", seconds=1, rounds=3, users=32, cells=(cell,)
    )


def fairness():
    cell = FairnessCell(
        service="onnx", route="/predict", alone_p50_ms=0.25, alone_p99_ms=0.5, beside_p50_ms=0.3, beside_p99_ms=1.25,
        batch_rows_per_second=98765.4,
    )  # fmt: skip
    return FairnessReport(
        **ORIGIN, command="python -m experiments.load.fairness", seconds=1, batch_rows=10_000, cells=(cell,)
    )


def profile():
    row = ProfileRow(rows=1, whole=201.3, constant=84.1, rest=99.6,
                     stages={"decode": 17.8, "predict": 72.2, "encode": 6.5, "metrics": 5.2})  # fmt: skip
    return ProfileReport(**ORIGIN, command="python -m experiments profile", seconds=1, sizes=(row,))


def protocols():
    cpu, rate = Spread(50.0, 49.0, 51.0), Spread(9876.0, 9000.0, 9999.0)
    names = ("JSON /predict", "gRPC")
    cells = tuple(
        ProtocolCell(service="axum", protocol=name, rows=1, request_bytes=295, cpu_us=cpu, rows_per_second=rate)
        for name in names
    )
    return ProtocolsReport(**ORIGIN, command="python -m experiments protocols", seconds=1, rounds=3, cells=cells)


def overload():
    row = OverloadRow(
        service="onnx", clients=2000, predictions_per_second=5432.1, refused_per_second=77.0, p50_ms=150.0,
        p99_ms=912.3, failed=0, memory=123_000_000,
    )  # fmt: skip
    return OverloadReport(**ORIGIN, command="python -m experiments overload", seconds=1, phases=(row,))


def images():
    sizes = (
        ImageSize(image="onnx", bytes=271_000_000, base="python:3", base_bytes=162_000_000),
        ImageSize(image="axum", bytes=113_000_000, base="debian:12", base_bytes=None),
    )
    command = "python -m experiments.load.image_sizes onnx axum"
    return ImagesReport(created=CREATED, command=command, machine=MACHINE, docker="99.1", images=sizes)


def study():
    def cell(rows, speedup, note=""):
        return StudyCell(
            family="forest", parameters="trees=9", threads=1, rows=rows, rounds=5, note=note,
            speedup=speedup, native_us=speedup and 100 * speedup, onnx_us=speedup and 100.0,
        )  # fmt: skip

    agreement = Agreement(rows=100, max_difference=2e-7, different_labels=4321, beyond_tolerance=0)
    family = FamilyFacts(
        family="forest", parameters="trees=9", training_rows=50, onnx_bytes=5000, pickle_bytes=8000,
        agreement=agreement, agreement_of_large_numbers=None,
    )  # fmt: skip
    plan = StudyProtocol(
        fast=True, seconds=1, limit=9, least_rounds=5, most_rounds=9, threads=(1,), batch_rows=(1, 10, 100),
        threshold=0.5,
    )  # fmt: skip
    return StudyResult(
        dataset="orchard", data_source="farm", training_rows=50, held_out_rows=100, created=CREATED,
        command="python -m experiments.study.study_command --seed 7", machine=STUDY_MACHINE,
        others_cpus=0.25, protocol=plan,
        families=(family,), cells=(cell(1, 123.0), cell(10, 0.5, "others were busy"), cell(100, None, "too slow")),
    )  # fmt: skip


def sessions():
    def latency(us, verdict):
        return {1: OptionLatency(us=us, ratio=1.0, verdict=verdict)}

    skew = Skew(rows=100, max_difference=3e-7, different_labels=0)
    settings = (
        SettingResult(name="basis", latency=latency(20.0, "basis"), load_ms=5, bytes=9000, skew=skew, placement=""),
        SettingResult(
            name="slow", latency=latency(64.5, "162% more time"), load_ms=5, bytes=9000, skew=skew, placement=""
        ),
    )
    graph = QuantizationResult(
        graph="trees", way="float32", added="", bytes=9000, latency=latency(20.0, "basis"), skew=skew, f2=0.8125,
        accuracy=0.75,
    )  # fmt: skip
    return SessionResult(
        model="m", version="abc123", created=CREATED, command="python -m experiments.study.session_options",
        machine=STUDY_MACHINE, others_cpus=0.25, rounds=11, noise={1: 0.15},
        settings=settings, quantization=(graph,),
    )  # fmt: skip


def tree_costs():
    cost = Cost(xgboost=8.5, onnx=22.75)
    shape = ShapeCost(
        trees=300, depth=5, nodes=13216, rows=10, as_they_come=cost, sorted_by_leaf=cost, one_row_repeated=cost
    )
    share = Share(rows=10, native_preprocessing=6.45, native_trees=5.58, onnx_preprocessing=1.39, onnx_trees=8.68)
    return TreeCosts(
        dataset="orchard", data_source="farm", created=CREATED, command="python -m experiments.study.tree_costs",
        machine=STUDY_MACHINE, others_cpus=0.25, trees=300, depth=5, shapes=(shape,),
        batches=(BatchCost(rows=1, changing=cost, same=cost), BatchCost(rows=1000, changing=cost, same=cost)),
        share=share,
    )  # fmt: skip


def soak(*, wrong=0):
    load = LoadCounts(requests=6578, rows=9000, wrong=Counter({"wrong class": wrong} if wrong else {}))
    result = SoakResult(
        service="onnx", seconds=60.0, load=load, hostile=HostileCounts(), faults={"worker killed": 3},
        shed_in_bursts=5, memory=MemoryGrowth(1 << 20, 2 << 20, 1 << 20, 1 << 20, 77 << 20),
    )  # fmt: skip
    return SoakReport(created=CREATED, command="python -m experiments.load.soak", machine=MACHINE, results=(result,))


@pytest.fixture
def reports(tmp_path, manifest):
    """Every source is there."""
    folder = tmp_path / "reports"
    (folder / "training").mkdir(parents=True)
    (folder / "study").mkdir()
    command = "python -m training.train --trials 2"
    report = TrainingReport(created=CREATED, command=command, machine=MACHINE, manifest=TrainedModel.of(manifest))
    (folder / "training/report.json").write_bytes(encode_result(report))
    (folder / "training/calibration.svg").write_text(SVG.format("calibration"))
    for name, result in (
        ("benchmark.json", benchmark()),
        ("skew.json", skew()),
        ("profile.json", profile()),
        ("overload.json", overload()),
        ("workers.json", workers()),
        ("fairness.json", fairness()),
        ("protocols.json", protocols()),
        ("images.json", images()),
        ("study/study.json", study()),
        ("study/session_options.json", sessions()),
        ("study/tree_costs.json", tree_costs()),
        ("soak.json", soak()),
    ):
        (folder / name).write_bytes(msgspec.json.encode(result))
    (folder / "study/speedup.svg").write_text(SVG.format("speedup"))
    return folder
