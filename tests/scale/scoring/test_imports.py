"""Scoring needs the packages of its own extra only."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_scoring_needs_no_training_library():
    code = "import sys, scale.scoring.score; print(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in result.stdout.split()}
    assert not loaded & {"sklearn", "scipy", "xgboost", "pandas", "onnx", "optuna", "serving"}
    reading = {"compression", "csv_options", "csv_records", "found_files", "table_files"}
    ours = {
        "training",
        "training.errors",
        "training.progress",
        "training.data",
        *(f"training.data.{name}" for name in reading),
    }
    assert {name for name in result.stdout.split() if name.split(".")[0] == "training"} == ours
