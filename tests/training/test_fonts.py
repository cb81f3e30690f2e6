"""Names of columns and classes are drawn in any script for which a font is installed, and what is missing is told."""

import matplotlib.font_manager
import numpy as np
import optuna
import pytest

from training.model.evaluation import Scored
from training.model.score import parse_score
from training.report import fonts
from training.report.fonts import DEFAULT, fonts_for, texts_of
from training.report.pictures import Evidence
from training.report.write_report import write_report


@pytest.fixture
def evidence() -> Evidence:
    scored = Scored(np.tile([0, 1], 50), np.linspace(0, 1, 100, dtype=np.float32))
    return Evidence(parse_score("f2", "binary_classification"), optuna.create_study(), scored, scored, {})


def test_the_default_font_is_enough_for_most_scripts(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fonts, "findSystemFonts", lambda: pytest.fail("there is nothing to look for"))
    assert fonts_for("age город ηλικία العمر\n") == ([DEFAULT], set())


def test_a_character_without_a_font_is_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fonts, "findSystemFonts", lambda: ["/nowhere/font.ttf"])
    families, missing = fonts_for("a齢")
    assert (families, missing) == ([DEFAULT], {"齢"})


def test_another_font_is_taken_for_what_the_default_lacks(monkeypatch: pytest.MonkeyPatch):
    serif = matplotlib.font_manager.findfont("STIXGeneral")  # comes with matplotlib, too
    monkeypatch.setattr(fonts, "findSystemFonts", lambda: [serif])
    assert fonts_for("a\u1d81") == ([DEFAULT, "STIXGeneral"], set())


def test_texts_are_the_names_and_classes(manifest):
    assert texts_of(manifest) >= set("hours_per_week>50K")


def test_svg_pictures_leave_missing_characters_to_the_browser(manifest, tmp_path, monkeypatch, capsys, evidence):
    monkeypatch.setattr("training.report.write_report.texts_of", lambda _: {"a", "齢"})
    monkeypatch.setattr(fonts, "findSystemFonts", list)
    write_report(manifest, evidence, tmp_path)
    assert "warning: no font is installed for 齢: PNG pictures have boxes" in capsys.readouterr().err
    assert "<text" in (tmp_path / "confusion_matrix.svg").read_text()
