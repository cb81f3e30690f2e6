"""The result of a soak: what `soak.json` holds, and its table."""

from typing import ClassVar

import msgspec

from bundle.result import Result
from bundle.table import Table
from experiments.load.soak_faults import HostileCounts
from experiments.load.soak_load import LoadCounts

_MEBIBYTE = 1 << 20


class MemoryGrowth(msgspec.Struct):
    """Bytes: proportional set size of all processes after the warm-up and at the end, resident set of the oldest worker
    at the same times, and the sum of the processes' highest resident sets.
    """

    start: int
    end: int
    oldest_start: int
    oldest_end: int
    peak: int


class SoakResult(msgspec.Struct):
    """The result for one service."""

    service: str
    seconds: float
    load: LoadCounts
    hostile: HostileCounts
    faults: dict[str, int]
    shed_in_bursts: int
    memory: MemoryGrowth

    @property
    def ok(self) -> bool:
        """Whether nothing was lost, wrong, or answered otherwise than documented."""
        return not (self.load.lost or self.load.wrong or self.hostile.unexpected)


class SoakReport(Result, frozen=True, kw_only=True):
    """Every service's result."""

    title: ClassVar = "Soak"
    file: ClassVar = "soak.json"
    made_by: ClassVar = "make soak"

    results: tuple[SoakResult, ...]

    @property
    def ok(self) -> bool:
        """Nothing was lost, wrong, or answered otherwise than documented."""
        return all(result.ok for result in self.results)

    def key_figures(self) -> tuple[str, ...]:
        """The requests answered, and the counts that must be 0."""
        names = ", ".join(result.service for result in self.results)
        requests = sum(result.load.requests for result in self.results)
        lost = sum(result.load.lost for result in self.results)
        wrong = sum(sum(result.load.wrong.values()) for result in self.results)
        hostile = sum(sum(result.hostile.unexpected.values()) for result in self.results)
        return (
            f"{names}: {requests:,} requests answered rightly; {lost:,} lost, {wrong:,} wrong, {hostile:,} hostile "
            "ones answered otherwise than documented",
        )

    def tables(self) -> tuple[Table, ...]:
        """A column per service; counts that must be 0 are emphasised."""
        kinds = dict.fromkeys(kind for result in self.results for kind in result.faults)
        columns = [_column(result, tuple(kinds)) for result in self.results]
        rows = tuple((name, *(column[name] for column in columns)) for name in columns[0]) if columns else ()
        faults = tuple(
            f"{result.service}: {fault} ({count:,} times)"
            for result in self.results
            for fault, count in (*result.load.wrong.items(), *result.hostile.unexpected.items())
        )
        return (
            Table(
                "What happened to the requests", ("", *(result.service for result in self.results)), rows, notes=faults
            ),
        )


def _column(result: SoakResult, kinds: tuple[str, ...]) -> dict[str, str]:
    load, used = result.load, result.memory
    return {
        "minutes": f"{result.seconds / 60:.1f}",
        "requests answered rightly": f"{load.requests:,}",
        "rows in them": f"{load.rows:,}",
        "hostile requests and clients tried": f"{result.hostile.tried:,}",
        "faults injected": f"{sum(result.faults.values()):,}",
        **{f"- {kind}": f"{result.faults.get(kind, 0):,}" for kind in kinds},
        "refused in bursts (503)": f"{result.shed_in_bursts:,}",
        "refused otherwise (503), tried again": f"{load.shed:,}",
        "cut off, tried again": f"{load.cut_off:,}",
        "**lost**": f"{load.lost:,}",
        "**wrong**": f"{sum(load.wrong.values()):,}",
        "**hostile, answered otherwise than documented**": f"{sum(result.hostile.unexpected.values()):,}",
        "memory after the warm-up, MiB": _mebibytes(used.start),
        "memory at the end, MiB": _mebibytes(used.end),
        "oldest worker, start to end, MiB": f"{_mebibytes(used.oldest_start)} → {_mebibytes(used.oldest_end)}",
        "peak, MiB": _mebibytes(used.peak),
    }


def _mebibytes(size: int) -> str:
    return f"{size / _MEBIBYTE:.0f}"
