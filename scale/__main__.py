"""`python -m scale COMMAND`."""

import sys

from bundle.command_line import run

COMMANDS = {
    "train": ("scale.training.train", "train on Parquet files that stay on disk"),
    "score": ("scale.scoring.score", "score files of any size with the bundle"),
    "synthetic-parquet": ("scale.training.synthetic_parquet", "write any number of synthetic rows as Parquet files"),
    "dask-scheduler": ("scale.cluster.scheduler", "a Dask scheduler, for other machines' workers"),
    "dask-worker": ("scale.cluster.worker", "Dask workers on this machine"),
}

if __name__ == "__main__":
    sys.exit(run("scale", COMMANDS))
