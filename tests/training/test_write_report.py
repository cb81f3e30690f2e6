"""Pictures of a run, whatever the script of the names in them."""

import numpy as np
import optuna

from training.model.evaluation import Scored
from training.model.score import parse_score
from training.report.pictures import Evidence
from training.report.write_report import write_report


def test_names_in_any_script_are_left_to_the_reader_s_fonts(manifest, tmp_path, monkeypatch):
    scored = Scored(np.tile([0, 1], 50), np.linspace(0, 1, 100, dtype=np.float32))
    evidence = Evidence(parse_score("f2", "binary_classification"), optuna.create_study(), scored, scored, {})
    pictures = {"ages": ("年齢", lambda axes, *_: axes.set_xlabel("город"))}
    monkeypatch.setattr("training.report.write_report.pictures_for", lambda *_: pictures)
    write_report(manifest, evidence, tmp_path)
    drawn = (tmp_path / "ages.svg").read_text(encoding="utf-8")
    assert "年齢</text>" in drawn
    assert "город</text>" in drawn
    assert "![年齢](ages.svg)" in (tmp_path / "report.md").read_text(encoding="utf-8")
