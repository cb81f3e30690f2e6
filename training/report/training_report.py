"""The report of a training run: what `report.json` beside its pictures holds."""

from datetime import datetime

import msgspec

from bundle.machine import Machine
from bundle.manifest import Artifact, ArtifactKind, Manifest
from bundle.training_record import TrainingRecord


class TrainedModel(TrainingRecord, frozen=True, kw_only=True):
    """What the manifest says of the training, and which model that made."""

    name: str
    version: str
    created: datetime
    decision_threshold: float | None = None
    artifacts: dict[ArtifactKind, Artifact]

    @classmethod
    def of(cls, manifest: Manifest) -> "TrainedModel":
        """That of a bundle which was trained here.

        Raises:
            BundleError: it was packaged.
        """
        record = msgspec.structs.asdict(manifest.record)
        named = {
            name: getattr(manifest, name) for name in ("name", "version", "created", "decision_threshold", "artifacts")
        }
        return cls(**named, **record)


class TrainingReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was trained, the command that did it, and where."""

    command: str
    machine: Machine
    manifest: TrainedModel
