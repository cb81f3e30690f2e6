"""Python environments for packages that can't be in the tests' own."""

from pathlib import Path

import pytest

from load_testing import environments


def python_of(name: str) -> Path:
    """The interpreter of `requirements/NAME.lock`'s environment; skips the test where it can't be made."""
    try:
        return environments.python_of(name)
    except environments.UnreachableError as reason:
        pytest.skip(f"{reason}, from which foreign packages are installed")
