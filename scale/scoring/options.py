"""The command line of `make score`."""

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bundle.command_line import Parser, file_path, whole_number
from bundle.cpus import usable_cpus
from scale.scoring.output import FORMATS
from scale.scoring.plan import Shard
from training.data.csv_options import add_csv_options, read_csv_options
from training.data.table_files import AS_NAMED, CsvOptions, is_table

EngineName = Literal["local", "dask"]
ENGINES: tuple[EngineName, ...] = ("local", "dask")

PART_ROWS = 250_000
"""Some 50 MB in memory for about twenty columns, and about a second's work."""


@dataclass(frozen=True)
class ScoringOptions:
    """The command line, typed. `keep` are the columns to write beside the scores; None keeps all. `skip`: files
    that can't be scored are left out.
    """

    input: str
    output: Path
    models: Path
    keep: tuple[str, ...] | None
    shard: Shard
    part_rows: int
    threads: int
    fresh: bool
    skip: bool = False
    csv: CsvOptions = AS_NAMED
    engine: EngineName = ENGINES[0]
    scheduler: str = ""

    @property
    def single_file(self) -> bool:
        """Whether the output is one file instead of a folder of parts."""
        return self.output.suffix.lower() in FORMATS

    @property
    def folder(self) -> Path:
        """Where the parts are written."""
        return self.output.with_name(f"{self.output.name}.parts") if self.single_file else self.output


def parse_options(arguments: Sequence[str] | None = None) -> ScoringOptions:
    """Read the command line; wrong usage exits with status 2."""
    parser = Parser("scale score", "Score files of any size with a bundle.")
    parser.add_argument("--input", type=file_path, required=True, help="Parquet, CSV or TSV: file, folder or glob")
    parser.add_argument("--output", type=file_path, required=True, help="folder, or a .parquet, .csv or .tsv file")
    parser.add_argument("--models", type=file_path, default=Path("models"), help="folder of the bundle")
    parser.add_argument("--keep", type=_names, help="input columns to write beside the scores (default: all)")
    parser.add_argument("--shard", type=_shard, default=Shard(0, 1), help="i/n: only the i-th (from 0) of n shares")
    parser.add_argument("--part-rows", type=whole_number(1), default=PART_ROWS, help="rows in each part of the output")
    parser.add_argument("--threads", type=whole_number(1), default=usable_cpus(), help="default: one per CPU")
    parser.add_argument("--fresh", action="store_true", help="replace what another run wrote to the output")
    parser.add_argument("--skip", action="store_true", help="leave out the files that can't be scored, and name them")
    add_csv_options(parser)
    parser.add_argument("--engine", choices=ENGINES, default=ENGINES[0], help="where parts are scored")
    parser.add_argument(
        "--scheduler", default="", help="address of the Dask cluster, such as tcp://host:8786 (default: local)"
    )
    given = vars(parser.read(arguments))
    csv = read_csv_options(given.pop("separator"), given.pop("empty"))
    options = ScoringOptions(**{**given, "input": str(given["input"]), "csv": csv})
    if is_table(options.output) and not options.single_file:
        parser.error(f"--output {options.output}: {', '.join(FORMATS)} files can be written; other names are folders")
    if options.shard.shares > 1 and (options.single_file or options.fresh):
        parser.error("--shard needs a folder as --output, and no --fresh")
    if options.engine == "dask" and options.shard.shares > 1:
        parser.error("--shard divides the work without a cluster; --engine dask divides it itself")
    if options.scheduler and options.engine != "dask":
        parser.error("--scheduler is for --engine dask")
    return options


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for name in text.split(",") if name)


def _shard(text: str) -> Shard:
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text, re.ASCII)
    if match is None or int(match[1]) >= int(match[2]):
        raise argparse.ArgumentTypeError(f"{text!r} is not i/n with i from 0 to n - 1")
    return Shard(int(match[1]), int(match[2]))
