"""Python environments for packages that can't be in the tests' own: each is made once from its lock file, in .venv."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from tests.services import ROOT

NO_NETWORK = ("failed to fetch", "error sending request", "connection", "name resolution")
"""What uv says where it reaches no registry."""


def python_of(name: str) -> Path:
    """The interpreter of `requirements/NAME.lock`'s environment; skips the test where no registry can be reached."""
    lock = ROOT / f"requirements/{name}.lock"
    folder = Path(sys.prefix) / f"{name}-{hashlib.sha256(lock.read_bytes()).hexdigest()[:12]}"
    python, ready = folder / "bin/python", folder / ".ready"
    if not ready.exists():
        uv = Path(sys.prefix) / "bin/uv"
        if not uv.exists():
            pytest.skip("uv is missing, which makes the environments of foreign clients")
        _run(uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder))
        install = ("pip", "install", "--quiet", "--python", str(python), "--require-hashes", "--no-deps")
        _run(uv, *install, "--requirements", str(lock))
        ready.touch()
    return python


def _run(uv: Path, *arguments: str) -> None:
    ended = subprocess.run([uv, *arguments], capture_output=True, text=True, check=False)
    if ended.returncode == 0:
        return
    if any(text in ended.stderr.lower() for text in NO_NETWORK):
        pytest.skip("no package registry can be reached, from which foreign clients are installed")
    raise AssertionError(ended.stderr)
