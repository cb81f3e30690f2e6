"""What a file must hold to be packaged."""

from pathlib import Path

import pytest

from training.errors import ConversionError
from training.package.estimator import load_estimator


def test_a_file_that_is_not_there(tmp_path: Path):
    with pytest.raises(ConversionError, match=r"^PIPELINE=.*/no\.pkl: No such file or directory$"):
        load_estimator(tmp_path / "no.pkl")
