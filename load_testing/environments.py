"""Python environments for packages that need other versions than the rest: each is made once from its lock file."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from bundle.lock import waiting_for

REQUIREMENTS = Path(__file__).resolve().parent.parent / "requirements"
_NO_NETWORK = ("failed to fetch", "error sending request", "connection", "name resolution")
"""What uv and pip say if they can't reach a registry."""


class UnreachableError(Exception):
    """An environment can't be made here: no package registry can be reached."""


def python_of(name: str) -> Path:
    """The interpreter of `requirements/NAME.lock`'s environment, inside that of this process. It is created if needed.

    Raises:
        UnreachableError: it can't be made on this machine.
        OSError: the installation failed otherwise; the message has its words.
    """
    digest = hashlib.sha256((REQUIREMENTS / f"{name}.lock").read_bytes()).hexdigest()
    folder = Path(sys.prefix) / f"{name}-{digest[:12]}"
    ready = folder / ".ready"
    if not ready.exists():
        with waiting_for(folder.with_suffix(".lock")):
            if not ready.exists():
                _make(folder, name)
    return folder / "bin/python"


def _make(folder: Path, name: str) -> None:
    ended = subprocess.run(  # noqa: S603  a script of this repository, and our own words
        [REQUIREMENTS / "install.sh", folder, name],
        env={**os.environ, "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode == 0:
        return
    if any(text in ended.stderr.lower() for text in _NO_NETWORK):
        raise UnreachableError("no package registry can be reached")
    raise OSError(ended.stderr)
