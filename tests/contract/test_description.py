"""The service is what its own OpenAPI document says, for generated requests, right and wrong ones."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.services import running

KEY = "a-key-for-this-test-only"
CASES = 60
"""Per operation. `make soak` tries thousands."""


@pytest.mark.parametrize("key", ["", KEY], ids=["open", "with a key"])
def test_no_generated_request_is_answered_otherwise_than_described(
    backend: str, models: Path, tmp_path: Path, key: str
):
    with running(backend, models, tmp_path, api_key=key) as service:
        found = subprocess.run(
            [
                Path(sys.executable).with_name("schemathesis"), "run", f"http://127.0.0.1:{service.port}/openapi.json",
                "--phases", "examples,coverage,fuzzing", "--checks", "all", "--max-examples", str(CASES), "--seed", "1",
                *(["--header", f"Authorization: Bearer {key}"] if key else []),
            ],
            cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
    assert found.returncode == 0, found.stdout + found.stderr
    assert "No issues found" in found.stdout
