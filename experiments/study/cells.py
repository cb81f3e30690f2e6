"""The parts of the families' comparison: its cells (family, threads, rows), facts about a family, and the protocol."""

import msgspec

SHIFT = 1e8
"""Added to numbers, it makes them as large as identifiers and timestamps: float32 has steps of 8 there."""


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """A family at a number of threads and of rows.

    Times are medians of `rounds` in µs per call. `note` says what disturbed a cell, or why it wasn't measured; then
    every figure is None.
    """

    family: str
    parameters: str
    threads: int
    rows: int
    rounds: int
    native_us: float | None = None
    onnx_us: float | None = None
    speedup: float | None = None
    note: str = ""


class Agreement(msgspec.Struct, frozen=True, kw_only=True):
    """Native pipeline and ONNX on all held-out rows. `different_labels` is None for a regressor."""

    rows: int
    max_difference: float
    different_labels: int | None
    beyond_tolerance: int


class FamilyFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Facts about a family's model other than its speed.

    `agreement` is on the rows as they are; `agreement_of_large_numbers` with `SHIFT` added to every
    number before fitting and predicting, so that float32, as the graph takes numbers, can't tell neighbours apart. It
    is None where the data set has no numbers.
    """

    family: str
    parameters: str
    training_rows: int
    onnx_bytes: int
    pickle_bytes: int
    agreement: Agreement
    agreement_of_large_numbers: Agreement | None


class StudyProtocol(msgspec.Struct, frozen=True, kw_only=True):
    """How it was measured: seconds of rounds per cell, and the limit over which a cell is left out."""

    fast: bool
    seconds: float
    limit: float
    least_rounds: int
    most_rounds: int
    threads: tuple[int, ...]
    batch_rows: tuple[int, ...]
    threshold: float


def title(family: FamilyFacts | Cell) -> str:
    """Name and parameters, as a table or a legend shows them."""
    return f"{family.family} ({family.parameters})" if family.parameters else family.family


def count_rows(rows: int) -> str:
    """A number of rows, as heads and labels write it."""
    return "1 row" if rows == 1 else f"{rows:,} rows"


def count_threads(count: int) -> str:
    """A number of threads, as titles write it."""
    return "1 thread" if count == 1 else f"{count} threads"
