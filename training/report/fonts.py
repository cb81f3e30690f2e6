"""Fonts for pictures whose texts are names of columns and classes, in any script."""

from collections.abc import Iterable
from pathlib import Path

from matplotlib.font_manager import findfont, findSystemFonts, fontManager
from matplotlib.ft2font import FT2Font

from bundle.manifest import Manifest

DEFAULT = "DejaVu Sans"
"""Comes with matplotlib: Latin, Greek, Cyrillic, Arabic, Hebrew and more."""


def texts_of(manifest: Manifest) -> set[str]:
    """The characters that a bundle's pictures have beside English."""
    names = [feature.name for feature in manifest.features]
    return set("".join([*names, *map(str, manifest.classes), str(manifest.positive_class), manifest.target]))


def fonts_for(characters: Iterable[str]) -> tuple[list[str], set[str]]:
    """Families that together draw the characters, as far as fonts for them are installed, and the characters for which
    none is. The default comes first; others are looked for only if it lacks something.
    """
    families, missing = [DEFAULT], {one for one in characters if one.isprintable()}
    missing -= _drawn_by(findfont(DEFAULT), missing)
    for path in sorted(findSystemFonts()) if missing else ():
        found = _drawn_by(path, missing)
        if found:
            fontManager.addfont(path)  # it may have been installed after matplotlib listed the fonts
            families.append(FT2Font(path).family_name)
            missing -= found
    return families, missing


def _drawn_by(path: str | Path, characters: set[str]) -> set[str]:
    try:
        font = FT2Font(path)
    except (OSError, RuntimeError):  # not a font that matplotlib reads
        return set()
    return {one for one in characters if font.get_char_index(ord(one))}
