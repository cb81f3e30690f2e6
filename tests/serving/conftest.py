from pathlib import Path

import pytest

from serving.settings import Settings, read_settings


@pytest.fixture
def settings(models: Path) -> Settings:
    return read_settings({"SERVE_MODEL_DIR": str(models), "SERVE_WORKERS": "1"}, default_port=8001)
