"""`python -m load_testing COMMAND`."""

import sys

from bundle.command_line import run

COMMANDS = {
    "bench": ("load_testing.benchmark", "every service under the same load, every answer checked"),
    "skew": ("load_testing.skew_command", "every reference row through every service"),
    "container-bench": (
        "load_testing.container_bench",
        "the load of `bench` on services that run already",
    ),
}

if __name__ == "__main__":
    sys.exit(run("load_testing", COMMANDS))
