"""Every figure that a sentence of the documentation may quote, by name."""

from collections.abc import Iterator

from experiments.report.capacity import capacity_figures
from experiments.report.markers import Figure, ratio
from experiments.report.numbers import percent, significant, whole
from experiments.report.recorded_results import Results
from experiments.report.study_figures import study_figures


def named_figures(results: Results) -> dict[str, Figure]:
    """{name: figure}; the first word of a name is the service or the kind of result."""
    sources = (_benchmark, _workers, _profile, _training, _images, capacity_figures, study_figures)
    return {name: found for source in sources for name, found in source(results)}


def _benchmark(results: Results) -> Iterator[tuple[str, Figure]]:
    for cell in results.benchmark.cells:
        name = f"{cell.service}.{cell.scenario}"
        yield f"{name}.rate", whole(cell.requests_per_second.median)
        yield f"{name}.rows", whole(cell.rows_per_second.median)
        yield f"{name}.p99-ms", significant(cell.p99_ms.median)
        yield f"{name}.cpu-us", significant(1000 * cell.cpu_ms_per_request.median)
        yield f"{name}.cpu-ms", Figure(cell.cpu_ms_per_request.median, f"{cell.cpu_ms_per_request.median:.1f}")
    for facts in results.benchmark.services:
        yield f"{facts.service}.peak-mb", whole(facts.memory.peak / 1e6)
        yield (
            f"{facts.service}.start-s",
            Figure(facts.cold_start_seconds.median, f"{facts.cold_start_seconds.median:.1f}"),
        )


def _workers(results: Results) -> Iterator[tuple[str, Figure]]:
    for cell in results.workers.cells:
        name = f"workers.{cell.service}.{cell.scenario}"
        dearer = cell.two_cpu_us.median / cell.one_cpu_us.median - 1
        yield f"{name}.gain", ratio(cell.gain)
        yield f"{name}.one-us", significant(cell.one_cpu_us.median)
        yield f"{name}.two-us", significant(cell.two_cpu_us.median)
        yield f"{name}.dearer", percent(dearer)


def _profile(results: Results) -> Iterator[tuple[str, Figure]]:
    for row in results.profile.sizes:
        yield f"profile.{row.rows}.whole-us", significant(row.whole)
        yield f"profile.{row.rows}.constant-us", significant(row.constant)
        for stage, microseconds in row.stages.items():
            yield f"profile.{row.rows}.{stage}-us", significant(microseconds)
            yield (
                f"profile.{row.rows}.{stage}-share",
                percent(microseconds / row.whole),
            )


def _training(results: Results) -> Iterator[tuple[str, Figure]]:
    manifest = results.training.manifest
    for name, value in manifest.metrics.held_out.items():
        yield f"training.{name}", Figure(value, f"{value:.4f}")
    yield "training.trials", whole(manifest.study.trials)
    yield "training.trees", whole(manifest.parity.trees)
    yield "training.held-out-rows", whole(manifest.data.held_out_rows)
    yield "training.packed-kb", whole(manifest.artifacts["onnx_packed"].bytes / 1e3)


def _images(results: Results) -> Iterator[tuple[str, Figure]]:
    for image in results.images.images:
        yield f"images.{image.image}.mb", whole(image.bytes / 1e6)
