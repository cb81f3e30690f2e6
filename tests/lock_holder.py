"""A process that owns a lock, as another run would."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOLD = """
import sys
from pathlib import Path
from bundle.lock import owning

with owning(Path(sys.argv[1]), "it", "wait"):
    print("owned", flush=True)
    sys.stdin.read()
"""


@contextlib.contextmanager
def another_process(lock: Path, *more: str) -> Iterator[subprocess.Popen[bytes]]:
    """It owns the lock until its standard input is closed, or it is killed."""
    command = [sys.executable, "-c", HOLD, str(lock), *more]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"owned\n"
        try:
            yield process
        finally:
            process.stdin.close()
