"""`python -m monitoring COMMAND`."""

import sys

from bundle.command_line import run

COMMANDS = {
    "replay": ("monitoring.replay.command", "recorded rows again, through a model or a service, and compared"),
    "drift": ("monitoring.drift.command", "recorded rows against those that the model was made of"),
}

if __name__ == "__main__":
    sys.exit(run("monitoring", COMMANDS))
