"""`make census`: synthetic rows in any number, as partitioned Parquet, for trying what needs large data."""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import numpy as np
from tqdm import tqdm

from scale.training.partitions import SOURCE_KEY
from training.data.sources import SYNTHETIC
from training.data.synthetic import synthesize
from training.dataset import Dataset
from training.errors import DataError, TrainingError

PART_ROWS = 500_000


def write_census(dataset: Dataset, rows: int, folder: Path, *, seed: int, part_rows: int = PART_ROWS) -> list[Path]:
    """Write `rows` rows into new files in `folder`, a part in memory at a time. Same seed, same rows.

    Every part is drawn with a seed of its own; a run that is killed leaves no half-written part.

    Raises:
        DataError: the folder holds something already, or the data set has no valid synthetic statistics.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise DataError(f"{folder}: not empty; choose another OUTPUT")
    paths = []
    seeds = np.random.SeedSequence(seed).generate_state(-(-rows // part_rows))
    with tqdm(total=rows, desc="census", unit=" rows", unit_scale=True) as bar:
        for number, start in enumerate(range(0, rows, part_rows)):
            frame = synthesize(dataset, min(part_rows, rows - start), int(seeds[number]))
            paths.append(folder / f"part-{number:05d}.parquet")
            temporary = paths[-1].with_name(f".{paths[-1].name}")
            frame.write_parquet(temporary, metadata={SOURCE_KEY: SYNTHETIC})
            temporary.replace(paths[-1])
            bar.update(frame.height)
    return paths


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 written, 1 not."""
    parser = argparse.ArgumentParser(prog="scale.training.synthetic_parquet", description=__doc__)
    parser.add_argument("--dataset", default="training.adult", help="module with a DATASET (default: %(default)s)")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--output", required=True, help="an empty or new folder")
    parser.add_argument("--seed", type=int, default=42)
    given = parser.parse_args(arguments)
    if not given.output or given.rows < 1:
        parser.error("OUTPUT and a positive number of ROWS are needed")
    try:
        paths = write_census(import_module(given.dataset).DATASET, given.rows, Path(given.output), seed=given.seed)
    except (TrainingError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{given.rows:,} synthetic rows in {len(paths)} files in {given.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
