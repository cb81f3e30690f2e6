"""Write the result of a run as JSON, Markdown and HTML, and as lines for the terminal."""

from pathlib import Path

from bundle.files import encode_result, write_files
from load_testing.distributed.result import LoadReport, WorkerResult
from load_testing.report import figure, render_template


def write_load_report(result: LoadReport, folder: Path) -> list[Path]:
    """Write `load.json`, `.md` and `.html` into the folder, replacing earlier ones whole. Returns their paths."""
    contents = {
        "load.json": encode_result(result),
        "load.md": render(result, "load.md.j2").encode(),
        "load.html": render(result, "load.html.j2").encode(),
    }
    return write_files(folder, contents)


def render(result: LoadReport, template: str) -> str:
    """The result as a template of this package shows it."""
    return render_template(template, result=result, load=result.load, notes=notes(result))


def notes(result: LoadReport) -> list[str]:
    """What a reader must know in order not to read too much into the figures."""
    found = [
        f"Closed loop: {result.users} clients on kept-open connections; each sends its next request when it has the "
        "answer to its last. The first requests, which connect, are counted.",
        "Latencies are merged histograms of all workers, exact to 0.6 %. Locust's own table rounds to milliseconds.",
        "Every answer was compared with the reference predictions of the bundle, which is the same on all workers.",
    ]
    if result.data_source == "synthetic":
        found.append("The model was trained on synthetic rows.")
    found += [
        f"{worker.name} had users for {own:.1f} of {longest:.1f} s only." for worker, own, longest in _short(result)
    ]
    at_limit = [worker for worker in result.workers if worker.at_limit]
    if at_limit:
        found.append(
            f"{bottleneck(at_limit)} The service may be able to do more, and latencies include the wait for a "
            "generator's turn. More CPUs for workers are needed, on this machine or on others."
        )
    return found


def _short(result: LoadReport) -> list[tuple[WorkerResult, float, float]]:
    """Workers that stayed to the end, but started late: their seconds, and those of the longest one."""
    seconds = [(worker, worker.report.load.seconds) for worker in result.workers if worker.report]
    longest = max((own for _, own in seconds), default=0.0)
    return [(worker, own, longest) for worker, own in seconds if worker.state == "complete" and own < 0.9 * longest]


def bottleneck(at_limit: list[WorkerResult]) -> str:
    """Which workers were at their limit."""
    names = ", ".join(worker.name for worker in at_limit)
    return (
        f"The load generator was the bottleneck: busy, or waiting for a CPU, for more than 90 % of the time: {names}."
    )


def summary(result: LoadReport) -> list[str]:
    """The key figures as lines of text."""
    load = result.load
    lines = [
        f"{result.service}, {', '.join(result.scenarios)}: {result.users} users on {len(result.workers)} worker(s)"
    ]
    if load is not None:
        p50, p95, p99 = (figure(load.latencies.percentile_ms(percent)) for percent in (50, 95, 99))
        lines += [
            f"{figure(load.requests / load.seconds)} requests/s, {figure(load.rows / load.seconds)} rows/s, "
            f"p50 {p50} ms, p95 {p95} ms, p99 {p99} ms, {load.failed:,} of {load.requests:,} requests failed",
            f"{load.checked:,} answers compared with the reference, {load.wrong:,} wrong, largest difference of a "
            f"probability {load.largest_difference:.1e}",
        ]
        lines += [f"{count:,} failed: {reason}" for reason, count in sorted(load.failures.items())]
    at_limit = [worker for worker in result.workers if worker.at_limit]
    return [*lines, *([bottleneck(at_limit)] if at_limit else []), *(f"FAILED: {fault}" for fault in result.faults)]
