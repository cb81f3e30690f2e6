"""A copy of what the claims are made from: the committed results, the documents and the Makefile."""

import shutil
from pathlib import Path

import pytest

from experiments.report.recorded_results import FOLDER
from experiments.report.tables_command import DOCUMENTS

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def root(tmp_path):
    shutil.copytree(ROOT / FOLDER, tmp_path / FOLDER)
    for document in DOCUMENTS:
        (tmp_path / document).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / document, tmp_path / document)
    return tmp_path
