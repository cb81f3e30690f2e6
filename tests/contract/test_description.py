"""The service is what its own OpenAPI document says, for generated requests, right and wrong ones."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.services import running

pytestmark = pytest.mark.slow

KEY = "a-key-for-this-test-only"
CASES = 30
"""Per operation. docs/robustness.md has the command that tries thousands."""


def test_no_generated_request_is_answered_otherwise_than_described(backend: str, models: Path, tmp_path: Path):
    """With a key, so that leaving it out is among the things that are tried."""
    with running(backend, models, tmp_path, api_key=KEY) as service:
        found = subprocess.run(
            [
                Path(sys.executable).with_name("schemathesis"), "run", f"http://127.0.0.1:{service.port}/openapi.json",
                "--phases", "examples,coverage,fuzzing", "--checks", "all", "--max-examples", str(CASES), "--seed", "1",
                "--header", f"Authorization: Bearer {KEY}",
            ],
            cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
    assert found.returncode == 0, found.stdout + found.stderr
    assert "No issues found" in found.stdout
