"""How the input is cut into parts, and which of them a shard scores."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from scale.scoring.inputs import InputFile


class OutputPart(NamedTuple):
    """`rows` rows of file number `file` after the first `offset`, scored and written together."""

    file: int
    offset: int
    rows: int

    @property
    def name(self) -> str:
        """The output file's name; sorted by name, parts stand in the input's order."""
        return f"part-{self.file:05d}-{self.offset:012d}.parquet"


class Shard(NamedTuple):
    """Share `number`, counted from 0, of `shares` equal ones."""

    number: int
    shares: int


def plan_parts(files: Sequence[InputFile], part_rows: int) -> list[OutputPart]:
    """All parts in the input's order."""
    return [
        OutputPart(index, offset, min(part_rows, file.rows - offset))
        for index, file in enumerate(files)
        for offset in range(0, file.rows, part_rows)
    ]


def share(parts: Sequence[OutputPart], shard: Shard) -> list[OutputPart]:
    """The shard's parts: neighbours, so that it reads few files, and those in one go."""
    return list(parts[len(parts) * shard.number // shard.shares : len(parts) * (shard.number + 1) // shard.shares])


def contiguous(parts: Sequence[OutputPart]) -> Iterator[list[OutputPart]]:
    """`parts` in groups that can be read in one go: of the same file, each starting where the one before ended."""
    group: list[OutputPart] = []
    for part in parts:
        if group and (part.file, part.offset) != (group[-1].file, group[-1].offset + group[-1].rows):
            yield group
            group = []
        group.append(part)
    if group:
        yield group
