"""`python -m training COMMAND`."""

import sys

from bundle.command_line import run

COMMANDS = {
    "train": ("training.train", "tune, fit, prove parity, publish a bundle"),
    "fit-synthetic": (
        "training.data.fit_synthetic",
        "the statistics that synthetic rows are drawn from",
    ),
}

if __name__ == "__main__":
    sys.exit(run("training", COMMANDS))
