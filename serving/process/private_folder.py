"""The folder that a service with several workers shares with them, and with nobody else.

A worker knows that it is one by the environment that its parent gives it, which names the folder's parts.
"""

import os
from collections.abc import MutableMapping
from pathlib import Path

from serving.api_keys import ApiKeys
from serving.settings import KEY_DIGESTS, PREFIX

FOLDER = "SERVING_PRIVATE_FOLDER"
"""The variable that tells a process that it is a worker, or about to try a bundle for the workers."""

_LONGEST_REASON = 4096


class PrivateFolder:
    """`copies` holds the copies of the bundle, with the link `current` to the one in use; `ready` exists as soon as a
    worker serves.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.copies = path / "copies"
        self.metrics = path / "metrics"
        self.ready = path / "ready"
        self._keys = path / "keys"
        self._failure = path / "failure"

    def name_in(self, environment: MutableMapping[str, str]) -> None:
        """Name the folder and the keys in the environment: that is what a process that tries a bundle needs."""
        environment[FOLDER] = str(self.path)
        environment[KEY_DIGESTS] = str(self._keys)

    def prepare(self, environment: MutableMapping[str, str]) -> None:
        """Make the parts, and name them in the environment that the workers will get."""
        self.copies.mkdir()
        self.metrics.mkdir()
        self.name_in(environment)
        environment["PROMETHEUS_MULTIPROC_DIR"] = str(self.metrics)
        environment[f"{PREFIX}MODEL_DIR"] = str(self.copies / "current")

    def write_keys(self, keys: ApiKeys) -> None:
        """Give the workers these keys. Raises OSError: they can't be written, and the previous ones stay."""
        draft = self._keys.with_suffix(".new")
        draft.write_text(keys.digests(), encoding="ascii")
        draft.replace(self._keys)

    def write_failure(self, reason: str) -> None:
        """Tell the parent why a worker could not start."""
        self._failure.write_text(reason[:_LONGEST_REASON], encoding="utf-8", errors="replace")

    def read_failure(self) -> str:
        """Why a worker could not start; empty if none said so."""
        return self._failure.read_text(encoding="utf-8") if self._failure.exists() else ""


def of_parent() -> PrivateFolder | None:
    """The folder that this process shares with its parent; None if there is none."""
    path = os.environ.get(FOLDER)
    return PrivateFolder(Path(path)) if path else None
