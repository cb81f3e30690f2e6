"""Workers must run what the client runs: the same code of this project, and the same versions of what it uses."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from distributed import Client

from scale.cluster.errors import ClusterError

LIBRARIES = ("cloudpickle", "dask", "distributed", "numpy", "onnxruntime", "polars", "scikit-learn", "xgboost-cpu")
"""Results depend on these, or other versions can't read what they write. xgboost-cpu is XGBoost outside macOS."""


def check_sameness(client: Client, packages: Sequence[str]) -> None:
    """Ask every worker and compare.

    Raises:
        ClusterError: a worker differs. The message names the first one, and in what.
    """
    versions = client.get_versions(packages=LIBRARIES)
    here = versions["client"]["packages"]
    for address, answer in sorted(versions["workers"].items()):
        there = answer["packages"]
        for name in ("python", *LIBRARIES):
            if there.get(name) != here[name]:
                raise ClusterError(f"worker {address} has {name} {there.get(name)}, but {here[name]} is here")
    digest = source_digest(packages)
    for address, answer in sorted(client.run(source_digest, packages, on_error="return").items()):
        if answer != digest:
            problem = f"can't import it ({answer})" if isinstance(answer, Exception) else "has another version of it"
            raise ClusterError(f"worker {address} needs this project's code, but {problem}; see `make dask-worker`")


def source_digest(packages: Sequence[str]) -> str:
    """SHA-256 of the packages' Python files, wherever they are."""
    root = Path(__file__).resolve().parents[2]
    digest = hashlib.sha256()
    for path in sorted(path for package in packages for path in (root / package).rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
