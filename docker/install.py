# ruff: noqa: INP001  # run by path
"""Build stage: install a lock file into a virtual environment, without what nothing uses at run time.

    python install.py LOCK FOLDER

Only wheels, so that no compiler is needed; no pip inside, so that the image has none. Needs `strip` (binutils).
"""

import shutil
import subprocess
import sys
from pathlib import Path


def install(lock: Path, folder: Path) -> None:
    """Every file is checked against its hash. Bytecode is made later, of what is used."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)  # noqa: S603  constant
    pip = [sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "--disable-pip-version-check"]
    options = ["--quiet", "--require-hashes", "--no-deps", "--only-binary=:all:", "--no-compile", "--no-cache-dir"]
    subprocess.run([*pip, "install", *options, "--requirement", lock], check=True)  # noqa: S603  constant


def slim(folder: Path) -> None:
    """Drop the libraries' own tests (a tenth of scipy), the symbol tables of extension modules (polars: 40 MB), and the
    megabyte of Redoc beside Swagger UI.
    """
    for unused in folder.rglob("fastapi_offline/static/redoc*"):
        unused.unlink()
    for tests in [path for path in folder.rglob("tests") if path.is_dir()]:
        shutil.rmtree(tests, ignore_errors=True)  # it may have been inside another one
    # what auditwheel put into *.libs has been patched, and is left as it is
    modules = [path for path in folder.rglob("*.so") if not path.parent.name.endswith(".libs")]
    subprocess.run(["strip", "--strip-unneeded", *modules], check=True)  # noqa: S603, S607  constant


if __name__ == "__main__":
    install(Path(sys.argv[1]), Path(sys.argv[2]))
    slim(Path(sys.argv[2]))
