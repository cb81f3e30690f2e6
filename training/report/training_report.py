"""The report of a training run: what `report.json` beside its pictures holds."""

import msgspec

from bundle.machine import Machine
from bundle.manifest import Manifest


class TrainingReport(msgspec.Struct, frozen=True, kw_only=True):
    """The manifest that was published, the command that did it, and where."""

    command: str
    machine: Machine
    manifest: Manifest
