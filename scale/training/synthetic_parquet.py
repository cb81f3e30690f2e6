"""`make synthetic-parquet`: any number of synthetic rows, as partitioned Parquet, to try out what needs large data."""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bundle.command_line import Parser, file_path, whole_number
from scale.training.partitions import SOURCE_KEY
from scale.writing import writing
from training.data.sources import SYNTHETIC
from training.data.synthetic import synthesize
from training.dataset import Dataset
from training.errors import DataError, TrainingError
from training.options import MOST_SEED, load_dataset
from training.progress import progress_bar

PART_ROWS = 500_000


def write_synthetic(dataset: Dataset, rows: int, folder: Path, *, seed: int, part_rows: int = PART_ROWS) -> list[Path]:
    """Write `rows` rows into new files in `folder`, with one part in memory at a time. Same seed, same rows.

    Every part is drawn with a seed of its own; a run that is killed leaves no half-written part.

    Raises:
        DataError: the folder holds something already, or the data set has no valid synthetic statistics.
        OSError: a part can't be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise DataError(f"{folder}: not empty; choose another OUTPUT")
    paths = []
    seeds = np.random.SeedSequence(seed).generate_state(-(-rows // part_rows))
    with progress_bar("rows", "rows", total=rows, unit_scale=True) as bar:
        for number, start in enumerate(range(0, rows, part_rows)):
            frame = synthesize(dataset, min(part_rows, rows - start), int(seeds[number]))
            paths.append(folder / f"part-{number:05d}.parquet")
            with writing(paths[-1]) as temporary:
                frame.write_parquet(temporary, metadata={SOURCE_KEY: SYNTHETIC})
            bar.update(frame.height)
    return paths


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 written, 1 not."""
    parser = Parser("scale synthetic-parquet", __doc__)
    parser.add_argument("--dataset", type=load_dataset, default="training.adult", help="module with a DATASET")
    parser.add_argument("--rows", type=whole_number(1), default=1_000_000, help="how many rows to write")
    parser.add_argument("--output", type=file_path, required=True, help="an empty or new folder")
    parser.add_argument("--seed", type=whole_number(0, MOST_SEED), default=42, help="the same seed gives the same rows")
    given = parser.read(arguments)
    try:
        paths = write_synthetic(given.dataset, given.rows, given.output, seed=given.seed)
    except (TrainingError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{given.rows:,} synthetic rows in {len(paths)} files in {given.output}")
    return 0
