"""The dashboard shows the study of the models folder that is named, and says where there is none."""

import os
import sys
from pathlib import Path

import pytest

from training.tuning.dashboard import main


def test_a_study_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["--reports", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: sqlite:///{tmp_path}/study.db: no study there; `make train` makes one")


def test_the_study_of_another_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "reports/models-churn/training"
    folder.mkdir(parents=True)
    (folder / "study.db").touch()
    started: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda _, command: started.append(command))
    main(["--models", "models/churn", "--port", "8090"])
    program = str(Path(sys.executable).with_name("optuna-dashboard"))
    storage = "sqlite:///reports/models-churn/training/study.db"
    assert started == [[program, storage, "--host", "127.0.0.1", "--port", "8090"]]
