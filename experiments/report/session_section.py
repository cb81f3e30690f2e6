"""What each session option of ONNX Runtime does, and quantisation."""

from pathlib import Path

from experiments.report.files import decode
from experiments.report.report_charts import bars
from experiments.report.section import Picture, Section, Table, count_rows, machine_facts
from experiments.study.session_results import Latency, QuantizationResult, SessionResult, SettingResult

FILE = "study/session_options.json"


def session_section(folder: Path) -> Section:
    """The section of `study/session_options.json`. Raises ReportError if it's broken."""
    result = decode(folder / FILE, SessionResult)
    noise = ", ".join(f"{share:.1%} for {count_rows(rows)}" for rows, share in result.noise.items())
    absent = (f"{name}: asked for, but not in this build of ONNX Runtime" for name in result.absent)
    return Section(
        created=result.created,
        facts={
            "command": result.command,
            "model": f"{result.model} {result.version}",
            "protocol": f"medians of {result.rounds} rounds; a ratio to the product's settings counts that is farther "
            f"from 1 than the noise ({noise}), if three quarters of the rounds agree",
            **machine_facts(result.machine),
            "meanwhile": f"other processes kept {result.others_cpus:.1f} CPUs busy",
        },
        key_figures=(_key_figure(result),),
        pictures=tuple(_picture(result, rows) for rows in result.noise),
        tables=(_settings(result), _quantized(result)),
        notes=tuple(absent),
    )


def _key_figure(result: SessionResult) -> str:
    found = [
        f"{setting.name}: {latency.verdict} ({count_rows(rows)})"
        for setting in result.settings
        for rows, latency in setting.latency.items()
        if latency.verdict not in {"basis", "no difference"}
    ]
    return "; ".join(found) or f"none of {len(result.settings)} settings differs from the product's"


def _picture(result: SessionResult, rows: int) -> Picture:
    title = f"Time per call of {count_rows(rows)}, by setting"
    times = {setting.name: setting.latency[rows].us for setting in result.settings if rows in setting.latency}
    return Picture(title, bars(title, times, "µs per call, median"))


def _settings(result: SessionResult) -> Table:
    heads = ("setting", *_latency_heads(result), "load ms", "KB", "max diff", "labels that differ")
    words = frozenset({0, *range(2, 1 + 2 * len(result.noise), 2)})
    return Table("Settings", heads, tuple(_setting(one, result) for one in result.settings), words)


def _setting(one: SettingResult, result: SessionResult) -> tuple[str, ...]:
    return (
        one.name,
        *_latencies(one.latency, result),
        f"{one.load_ms:.1f}",
        f"{one.bytes / 1e3:,.0f}",
        f"{one.skew.max_difference:.1e}",
        f"{one.skew.different_labels:,}",
    )


def _quantized(result: SessionResult) -> Table:
    heads = ("graph", "as", "operators added", "KB", *_latency_heads(result), "max diff", "labels that differ", "F2",
             "accuracy")  # fmt: skip
    words = frozenset({0, 1, 2, *range(5, 4 + 2 * len(result.noise), 2)})
    return Table("Quantisation", heads, tuple(_quantization(one, result) for one in result.quantization), words)


def _quantization(one: QuantizationResult, result: SessionResult) -> tuple[str, ...]:
    return (
        one.graph,
        one.way,
        one.added or "none",
        f"{one.bytes / 1e3:,.0f}",
        *_latencies(one.latency, result),
        f"{one.skew.max_difference:.1e}",
        f"{one.skew.different_labels:,} of {one.skew.rows:,}",
        f"{one.f2:.4f}",
        f"{one.accuracy:.4f}",
    )


def _latency_heads(result: SessionResult) -> tuple[str, ...]:
    return tuple(head for rows in result.noise for head in (f"{count_rows(rows)}: µs", "verdict"))


def _latencies(latency: dict[int, Latency], result: SessionResult) -> tuple[str, ...]:
    found = [latency.get(rows) for rows in result.noise]
    return tuple(text for one in found for text in ((f"{one.us:,.1f}", one.verdict) if one else ("-", "")))
