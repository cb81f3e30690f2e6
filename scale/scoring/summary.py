"""What a person wants to know when a scoring run ends."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from scale.scoring.options import ScoringOptions
from scale.scoring.output import PartSummary


@dataclass(frozen=True)
class Speed:
    """Rows scored by this run, the seconds it took, the threads, and ONNX Runtime's own rows per second.

    The last is None where it wasn't measured: no row was scored, or other machines did it.
    """

    rows: int
    seconds: float
    threads: int
    limit: float | None


def summary_lines(options: ScoringOptions, parts: Sequence[PartSummary], planned: int, speed: Speed) -> list[str]:
    """The summary, line by line: of all the shard's parts, whichever run wrote them. `planned`: parts of all shards."""
    rows = sum(part.rows for part in parts)
    positive = [part.positive for part in parts if part.positive is not None]
    share = f", {sum(positive) / max(rows, 1):.1%} positive" if positive else ""
    unseen: Counter[str] = Counter()
    for part in parts:
        unseen.update(part.unseen)
    counts = ", ".join(f"{name} {count:,}" for name, count in unseen.items() if count)
    shard = f" of {planned} (shard {options.shard.number}/{options.shard.shares})" if options.shard.shares > 1 else ""
    lines = [
        f"scored   {rows:,} rows in {len(parts)} parts{shard}{share}",
        f"unseen   {counts or 'none'} (values of a category that training never saw)",
        f"output   {options.output}",
    ]
    if speed.rows:
        rate = speed.rows / speed.seconds
        own = (
            ""
            if speed.limit is None
            else (f", {rate / speed.limit:.0%} of ONNX Runtime's own {speed.limit:,.0f} (session.run alone)")
        )
        where = "threads" if options.engine == "local" else "threads of the cluster, its start included"
        lines.append(
            f"speed    {speed.rows:,} rows in {speed.seconds:.1f} s on {speed.threads} {where}: {rate:,.0f} rows/s{own}"
        )
    return lines
