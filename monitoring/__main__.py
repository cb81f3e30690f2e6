"""`python -m monitoring COMMAND`."""

import sys

from bundle.command_line import run

COMMANDS = {
    "replay": ("monitoring.replay.command", "replay recorded rows through a model or a service, and compare"),
    "drift": ("monitoring.drift.command", "compare recorded rows with those that the model was made from"),
}

if __name__ == "__main__":
    sys.exit(run("monitoring", COMMANDS))
