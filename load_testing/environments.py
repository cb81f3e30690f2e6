"""Python environments for packages that need other versions than the rest: each is made once from its lock file."""

import hashlib
import subprocess
import sys
from pathlib import Path

from bundle.lock import waiting_for

LOCKS = Path(__file__).resolve().parent.parent / "requirements"
UV = Path(sys.prefix) / "bin/uv"
_NO_NETWORK = ("failed to fetch", "error sending request", "connection", "name resolution")
"""What uv says where it reaches no registry."""


class UnreachableError(Exception):
    """An environment can't be made here: uv is missing, or no package registry can be reached."""


def python_of(name: str) -> Path:
    """The interpreter of `requirements/NAME.lock`'s environment, inside that of this process. It is made if need be.

    Raises:
        UnreachableError: it can't be made on this machine.
        OSError: uv failed otherwise; the message has its words.
    """
    lock = LOCKS / f"{name}.lock"
    folder = Path(sys.prefix) / f"{name}-{hashlib.sha256(lock.read_bytes()).hexdigest()[:12]}"
    python, ready = folder / "bin/python", folder / ".ready"
    if not ready.exists():
        with waiting_for(folder.with_suffix(".lock")):
            if not ready.exists():
                _make(folder, lock)
                ready.touch()
    return python


def _make(folder: Path, lock: Path) -> None:
    if not UV.exists():
        raise UnreachableError("uv is missing, which makes environments")
    _run("venv", "--quiet", "--clear", "--python", sys.executable, str(folder))
    install = ("pip", "install", "--quiet", "--python", str(folder / "bin/python"), "--require-hashes", "--no-deps")
    _run(*install, "--requirements", str(lock))


def _run(*arguments: str) -> None:
    ended = subprocess.run([UV, *arguments], capture_output=True, text=True, check=False)  # noqa: S603  our own words
    if ended.returncode == 0:
        return
    if any(text in ended.stderr.lower() for text in _NO_NETWORK):
        raise UnreachableError("no package registry can be reached")
    raise OSError(ended.stderr)
