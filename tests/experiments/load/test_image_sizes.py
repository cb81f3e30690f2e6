from pathlib import Path

import pytest

from experiments.__main__ import main
from experiments.errors import ExperimentError
from experiments.load import image_sizes
from experiments.load.image_sizes import base_image

DOCKER = Path(__file__).resolve().parents[3] / "docker"
SIZES = {"train-to-serve/onnx:latest": "271000000", "python:3.11-slim-bookworm": "162000000"}


def docker(*arguments):
    """An engine that keeps the images of `SIZES`; the id of an image is its name."""
    if arguments[:2] == ("image", "ls"):
        return arguments[-1] if arguments[-1] in SIZES else ""
    return SIZES[arguments[-1]] if arguments[0] == "image" else "99.1"


@pytest.mark.parametrize(("image", "base"), [("axum", "debian:bookworm-slim"), ("onnx", "python:3.11-slim-bookworm")])
def test_the_base_is_that_of_the_last_stage(image, base):
    assert base_image((DOCKER / f"{image}.Dockerfile").read_text()) == base


def test_a_file_without_a_base_is_refused():
    with pytest.raises(ExperimentError, match="no FROM line"):
        base_image("RUN true\n")


def test_what_an_image_adds_to_its_base_is_told(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(image_sizes, "docker", docker)
    assert main(["images", "onnx", "--reports", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines()[3].split() == ["onnx", "271", "python:3.11-slim-bookworm", "109"]
    assert (tmp_path / "images.json").exists()


def test_a_missing_image_is_named_and_nothing_is_written(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(image_sizes, "docker", docker)
    assert main(["images", "onnx", "pickle", "--reports", str(tmp_path)]) == 1
    assert capsys.readouterr().err == "error: train-to-serve/pickle: no such image; `make images` builds it\n"
    assert list(tmp_path.iterdir()) == []


def test_a_missing_engine_is_one_line(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["images", "onnx", "--reports", str(tmp_path)]) == 1
    assert capsys.readouterr().err == "error: docker: No such file or directory\n"
