"""What is in the images, and what is not."""

import shutil
from pathlib import Path

import pytest

from tests.docker.engine import BUILD_SECONDS, IMAGES, SERVICES, USER, docker, inspect, python_in

pytestmark = pytest.mark.docker

LIMITS = {"onnx": 300e6, "pickle": 600e6, "axum": 120e6}
PYTHON_IMAGES = [name for name in IMAGES if name != "axum"]

# `build` is what a worker runs; every module that it imports should have come with its bytecode
UNCOMPILED = """
import os, sys, serving.{0}_service
serving.{0}_service.serve()
cached = ((name, getattr(module, "__cached__", None)) for name, module in sys.modules.items())
print(*(name for name, path in cached if path and not os.path.exists(path)))
"""
PROGRAMS = ("cc", "gcc", "g++", "make", "ld", "strip", "cargo", "rustc", "pip", "pip3", "curl", "wget", "git")
ON_PATH = f"for name in {' '.join(PROGRAMS)}; do command -v $name || true; done"


@pytest.mark.parametrize("name", LIMITS)
def test_the_image_is_slim(images: dict[str, str], name: str):
    assert inspect(images[name])["Size"] <= LIMITS[name]


def test_the_rust_service_adds_little_to_its_base(images: dict[str, str]):
    assert inspect(images["axum"])["Size"] - inspect("debian:bookworm-slim")["Size"] <= 45e6


@pytest.mark.parametrize("name", IMAGES)
def test_the_image_runs_a_program_as_a_fixed_user(images: dict[str, str], name: str):
    config = inspect(images[name])["Config"]
    assert config["User"] == f"{USER}:{USER}"
    assert config["Entrypoint"][0] in ("python", "axum-service")  # exec form, no shell
    assert not config["Cmd"]
    labels = {f"org.opencontainers.image.{label}" for label in ("title", "description", "licenses")}
    assert labels <= config["Labels"].keys()


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_says_whether_it_is_healthy(images: dict[str, str], name: str):
    assert inspect(images[name])["Config"]["Healthcheck"]["Test"][0] == "CMD"


@pytest.mark.parametrize("name", IMAGES)
def test_there_are_no_build_tools(images: dict[str, str], name: str):
    assert docker("run", "--rm", "--entrypoint=sh", images[name], "-c", ON_PATH) == ""


@pytest.mark.parametrize(
    ("name", "absent"),
    [
        ("onnx", ["sklearn", "scipy", "xgboost", "polars", "onnx", "training", "load_testing", "pip"]),
        ("pickle", ["onnx", "onnxruntime", "nvidia", "training", "load_testing", "pip"]),
        ("train", ["fastapi", "locust", "serving", "load_testing", "pip"]),
        ("bench", ["sklearn", "onnxruntime", "fastapi", "serving", "training", "pip"]),
    ],
)
def test_a_package_that_is_not_used_is_not_there(images: dict[str, str], name: str, absent: list[str]):
    code = f"from importlib.util import find_spec; print(*(name for name in {absent} if find_spec(name)))"
    assert python_in(images[name], code) == ""


def test_the_pickle_image_has_no_cuda(images: dict[str, str]):
    code = "from pathlib import Path; print(*(path for path in Path('/').glob('[!ps]*/**/*') if 'nccl' in path.name " \
           "or path.name.startswith(('libcu', 'libnv', 'nvidia'))))"  # fmt: skip
    assert python_in(images["pickle"], code, "--user=0") == ""


@pytest.mark.parametrize("name", ["onnx", "pickle"])
def test_a_start_compiles_nothing(images: dict[str, str], models: Path, name: str):
    assert python_in(images[name], UNCOMPILED.format(name), f"--volume={models}:/app/models:ro") == ""


def test_the_libraries_have_one_thread_whatever_the_host_has(images: dict[str, str]):
    code = """
import polars, sklearn, threadpoolctl
print(polars.thread_pool_size(), *(pool["num_threads"] for pool in threadpoolctl.threadpool_info()))
"""
    assert set(python_in(images["pickle"], code).split()) == {"1"}


def test_a_change_of_the_code_keeps_the_layer_of_the_dependencies(images: dict[str, str], clone: Path, tmp_path: Path):
    changed = Path(shutil.copytree(clone, tmp_path / "changed"))
    with (changed / "serving/app.py").open("a", encoding="utf-8") as stream:
        stream.write("# changed\n")
    tag = "train-to-serve/onnx:test-changed"
    docker("build", "--file=docker/onnx.Dockerfile", f"--tag={tag}", ".", cwd=changed, seconds=BUILD_SECONDS)
    try:
        before, after = (inspect(name)["RootFS"]["Layers"] for name in (images["onnx"], tag))
    finally:
        docker("rmi", tag)
    assert before[-2:] != after[-2:]  # the service's code, and the bytecode
    assert before[:-2] == after[:-2]
