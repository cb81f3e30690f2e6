"""The images, a fresh clone, and the compose project started from it: each made once, and the project torn down."""

import contextlib
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from load_testing.services import reserved_port
from tests.docker.engine import (
    BUILD_SECONDS,
    IMAGES,
    ROOT,
    SERVICES,
    compose_command,
    docker,
    run,
    succeeds,
    wait_until_healthy,
    without,
)

FOREIGN = 4242  # nobody here and nobody in the images: as the user of another machine


def missing() -> str | None:
    """Why nothing can be tested here."""
    if not succeeds("docker", "info"):
        return "no Docker engine"
    files = "".join((ROOT / "docker" / f"{name}.Dockerfile").read_text(encoding="utf-8") for name in IMAGES)
    for base in sorted(set(re.findall(r"^ARG \w+_IMAGE=(\S+)$", files, re.MULTILINE))):
        if not succeeds("docker", "image", "inspect", base):
            return f"the base image {base} is not here: docker pull {base}"
    return None


@pytest.fixture(scope="session")
def images() -> dict[str, str]:
    """Name to tag of every image, built. They stay, as the cache of the next build."""
    if reason := missing():
        pytest.skip(reason)
    tags = {name: f"train-to-serve/{name}:test" for name in IMAGES}

    def build(name: str) -> None:
        docker("build", f"--file=docker/{name}.Dockerfile", f"--tag={tags[name]}", ".", cwd=ROOT, seconds=BUILD_SECONDS)

    build("onnx")  # the others have its first steps in common, and then mostly wait for downloads
    with ThreadPoolExecutor() as pool:
        list(pool.map(build, tags.keys() - {"onnx"}))
    return tags


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The working tree as a clone would have it. Where tests run as root, it is another user's, with umask 077.

    Not the sources: the older compose tool would see other files than `docker build` did, and build all again.
    """
    folder = tmp_path_factory.mktemp("clone") / "train-to-serve"
    names = run("git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=ROOT).splitlines()
    for name in names:
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    if os.geteuid() == 0:
        run("chown", "--recursive", f"{FOREIGN}:{FOREIGN}", folder / "models")
        run("chmod", "--recursive", "go=", folder / "models")
    return folder


@dataclass
class Project:
    """The running compose project."""

    clone: Path
    name: str
    command: list[str]
    environment: dict[str, str]
    urls: dict[str, str]

    def compose(self, *arguments: str, seconds: float = 300) -> str:
        return run(*self.command, *arguments, cwd=self.clone, env=self.environment, seconds=seconds)

    def container(self, service: str) -> str:
        filters = (f"{key}={value}" for key, value in (("project", self.name), ("service", service)))
        found = docker("ps", "--all", "--quiet", *(f"--filter=label=com.docker.compose.{label}" for label in filters))
        (container,) = found.split()
        return container


@pytest.fixture(scope="session")
def ports() -> Iterator[dict[str, int]]:
    """A port of this machine for each service."""
    with contextlib.ExitStack() as stack:
        yield {service: stack.enter_context(reserved_port()) for service in SERVICES}


@pytest.fixture(scope="session")
def project(images: dict[str, str], clone: Path, ports: dict[str, int]) -> Iterator[Project]:
    """`docker compose up` in the clone."""
    command = compose_command()
    if command is None:
        pytest.skip("no docker compose")
    name = f"train-to-serve-{uuid.uuid4().hex[:8]}"
    environment = without(os.environ, "SERVE_", "DATA", "PUBLISH_", "COMPOSE_") | {
        "COMPOSE_PROJECT_NAME": name, "TRIALS": "2", "DATA": "synthetic",
        **{f"{service.upper()}_PORT": str(port) for service, port in ports.items()},
    }  # fmt: skip
    urls = {service: f"http://127.0.0.1:{port}" for service, port in ports.items()}
    project = Project(clone, name, command, environment, urls)
    try:
        project.compose("build", seconds=BUILD_SECONDS)
        project.compose("up", "--detach")
        for service in SERVICES:
            wait_until_healthy(project.container(service))
        yield project
    finally:
        project.compose("--profile", "bench", "down", "--volumes", "--rmi", "local", "--remove-orphans")
    assert not docker("ps", "--all", "--quiet", f"--filter=label=com.docker.compose.project={name}")
