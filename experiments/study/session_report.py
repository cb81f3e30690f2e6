"""Write the comparison of session options as JSON and Markdown."""

from pathlib import Path

from bundle.files import encode_result, write_files
from experiments.study.session_results import Latency, QuantizationResult, SessionResult, SettingResult


def write_session_report(result: SessionResult, folder: Path) -> list[Path]:
    """Write `session_options.json` and `.md`. Returns their paths."""
    contents = {
        "session_options.json": encode_result(result),
        "session_options.md": render(result).encode(),
    }
    return write_files(folder, contents)


def render(result: SessionResult) -> str:
    """The result as Markdown."""
    lines = ["# Session options of ONNX Runtime, measured", "", *_facts(result), "", *settings_table(result)]
    lines += ["", "## Which provider runs which nodes", "", *_placements(result)]
    lines += ["", "## Quantisation", "", *quantization_table(result)]
    return "\n".join([*lines, ""])


def _facts(result: SessionResult) -> list[str]:
    noise = ", ".join(f"{share:.1%} for {_rows(rows)}" for rows, share in result.noise.items())
    return [
        f"Measured {result.created:%Y-%m-%d %H:%M} UTC by `{result.command}` on {result.model} {result.version}, the "
        "packed graph.",
        f"Machine: {result.machine}. Other processes kept {result.others_cpus:.1f} CPUs busy meanwhile; settings "
        "of two threads are the first to suffer from that.",
        "",
        f"Every setting is a change of the product's own: one thread, no spinning. All are measured in interleaved "
        f"rounds, {result.rounds} of them; times are medians. The verdict is on the median ratio to the product's "
        f"settings in the same round. A ratio counts that is farther from 1 than the noise: {noise}, taken from the "
        "quartiles of the product's settings against themselves, and at least 3 %; three quarters of the rounds must "
        "agree.",
    ]


def settings_table(result: SessionResult) -> list[str]:
    """A line per setting."""
    sizes = list(result.noise)
    heads = " | ".join(f"{_rows(rows)}: µs | verdict" for rows in sizes)
    lines = [
        f"| setting | {heads} | load ms | KB | max diff | labels |",
        "|---|" + "---:|---|" * len(sizes) + "---:|" * 4,
    ]
    return [*lines, *(_setting(setting) for setting in result.settings)]


def _setting(found: SettingResult) -> str:
    skew = f"{found.skew.max_difference:.1e} | {found.skew.different_labels:,}"
    return f"| {found.name} | {_latencies(found.latency)} | {found.load_ms:.1f} | {found.bytes / 1e3:,.0f} | {skew} |"


def _latencies(latency: dict[int, Latency]) -> str:
    return " | ".join(f"{one.us:,.1f} | {one.verdict}" for one in latency.values())


def _rows(rows: int) -> str:
    return "1 row" if rows == 1 else f"{rows:,} rows"


def _placements(result: SessionResult) -> list[str]:
    by_placement: dict[str, list[str]] = {}
    for setting in result.settings:
        by_placement.setdefault(setting.placement, []).append(setting.name)
    lines = [f"- {', '.join(names)}: {placement}" for placement, names in by_placement.items()]
    lines += [f"- {name}: asked for, but not in this build of ONNX Runtime; the chain goes on without it"
              for name in result.absent]  # fmt: skip
    return lines


def quantization_table(result: SessionResult) -> list[str]:
    """A line per graph and way of quantising it."""
    sizes = list(result.noise)
    heads = " | ".join(f"{_rows(rows)}: µs | verdict" for rows in sizes)
    lines = [
        f"| graph | as | operators added | KB | {heads} | max diff | labels that differ | F2 | accuracy |",
        "|---|---|---|---:|" + "---:|---|" * len(sizes) + "---:|" * 4,
    ]
    return [*lines, *(_quantized(found) for found in result.quantization)]


def _quantized(found: QuantizationResult) -> str:
    skew = f"{found.skew.max_difference:.1e} | {found.skew.different_labels:,} of {found.skew.rows:,}"
    return (
        f"| {found.graph} | {found.way} | {found.added or 'none'} | {found.bytes / 1e3:,.0f} "
        f"| {_latencies(found.latency)} | {skew} | {found.f2:.4f} | {found.accuracy:.4f} |"
    )
