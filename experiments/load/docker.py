"""Docker's command line."""

import subprocess

from experiments.errors import ExperimentError


def docker(*arguments: str) -> str:
    """What it prints.

    Raises:
        ExperimentError: there is no such program, or it failed.
    """
    try:
        done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)  # noqa: S603, S607
    except OSError as error:
        raise ExperimentError(f"docker: {error.strerror}") from error
    if done.returncode:
        raise ExperimentError(f"docker {arguments[0]}: {done.stderr.strip().partition(chr(10))[0]}")
    return done.stdout.strip()
