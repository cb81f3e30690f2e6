"""The settings of the record: which fraction of the requests is recorded, where, and which features."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bundle.errors import BundleError
from bundle.manifest import Feature, Manifest


@dataclass(frozen=True, kw_only=True)
class RecordSettings:
    """`sample` is the fraction of requests to record, from 0 to 1, and `most_bytes` the limit for all files of `folder`
    together.

    `fields` are the names of the features that are recorded; None for all.
    """

    folder: Path
    sample: float
    most_bytes: int
    fields: tuple[str, ...] | None

    def recorded(self, manifest: Manifest) -> Sequence[Feature]:
        """The features that are recorded, in the manifest's order.

        Raises:
            BundleError: the model lacks a feature that is to be recorded.
        """
        if self.fields is None:
            return manifest.features
        names = [feature.name for feature in manifest.features]
        for name in self.fields:
            if name not in names:
                raise BundleError(
                    f"SERVE_RECORD_FIELDS: {manifest.name} {manifest.version} has no feature {name!r}; "
                    f"it has {', '.join(map(repr, names))}"
                )
        return [feature for feature in manifest.features if feature.name in self.fields]


def parse_folder(text: str) -> Path | None:
    """The folder; None if none is given. Raises ValueError: the path is something else."""
    if not text:
        return None
    path = Path(text)
    try:
        if path.exists() and not path.is_dir():
            raise ValueError("a folder is needed, and this is none")
    except OSError:  # what can't even be looked at can't be written either, and the record reports that
        return path
    return path


def parse_part(text: str) -> float:
    """A fraction. Raises ValueError: it is not a decimal from 0 to 1."""
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)?|\.[0-9]+", text, re.ASCII) or float(text) > 1:
        raise ValueError("a decimal from 0 to 1 is needed")
    return float(text)


def parse_names(text: str) -> tuple[str, ...] | None:
    """Names, separated by commas or as a JSON array; None if the text is empty.

    Raises:
        ValueError: it begins like a JSON array but is not one of strings.
    """
    if not text:
        return None
    if not text.startswith("["):
        return tuple(name.strip() for name in text.split(",") if name.strip())
    try:
        return msgspec.json.decode(text, type=tuple[str, ...])
    except msgspec.DecodeError as error:
        raise ValueError(f"names with commas between them, or a JSON array of them, are needed: {error}") from None
