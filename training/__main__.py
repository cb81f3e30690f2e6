"""`python -m training COMMAND`."""

import sys

from bundle.command_line import run

COMMANDS = {
    "train": ("training.train", "tune, fit, prove parity, publish a bundle"),
    "package": ("training.package.command", "make a bundle from an existing model"),
    "dashboard": ("training.tuning.dashboard", "the study in the browser"),
    "visualize": ("training.visualize", "the ONNX graph in the browser"),
    "fit-synthetic": (
        "training.data.fit_synthetic",
        "the statistics that synthetic rows are drawn from",
    ),
}

if __name__ == "__main__":
    sys.exit(run("training", COMMANDS))
