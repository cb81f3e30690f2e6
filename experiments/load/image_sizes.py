"""`make images`: how large the container images are, and how much each adds to the image that it is built on."""

import argparse
import re
import subprocess
from typing import ClassVar

import msgspec

from bundle.result import Result, made_now
from bundle.table import Table
from experiments.command import add_folders, publish
from experiments.errors import ExperimentError
from load_testing.services import ROOT


class ImageSize(msgspec.Struct, frozen=True, kw_only=True):
    """An image, and the one that its last stage is built on. Bytes of the unpacked layers, as `docker image ls` has
    them; `base_bytes` is None where the base is not kept beside it.
    """

    image: str
    bytes: int
    base: str
    base_bytes: int | None


class ImagesReport(Result, frozen=True, kw_only=True):
    """All images; `docker` is the engine's version."""

    title: ClassVar = "Images"
    file: ClassVar = "images.json"
    made_by: ClassVar = "make images"

    docker: str
    images: tuple[ImageSize, ...]

    def facts(self) -> dict[str, str]:
        """The engine."""
        return {"docker": self.docker}

    def key_figures(self) -> tuple[str, ...]:
        """All sizes."""
        return (", ".join(f"{image.image} {image.bytes / 1e6:,.0f} MB" for image in self.images),)

    def tables(self) -> tuple[Table, ...]:
        """A line per image, in MB (powers of ten)."""
        rows = []
        for image in self.images:
            own = "-" if image.base_bytes is None else f"{(image.bytes - image.base_bytes) / 1e6:,.0f}"
            rows.append((image.image, f"{image.bytes / 1e6:,.0f}", image.base, own))
        heads = ("image", "MB", "built on", "on top of it: MB")
        return (Table("Sizes", heads, tuple(rows), frozenset({0, 2})),)


def base_image(dockerfile: str) -> str:
    """The image of the last stage, with the defaults of the build arguments.

    Raises:
        ExperimentError: there is no such line.
    """
    defaults = dict(re.findall(r"^ARG (\w+)=(\S+)$", dockerfile, re.MULTILINE))
    stages = re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE)
    if not stages:
        raise ExperimentError("no FROM line in it")
    return re.sub(r"\$\{?(\w+)\}?", lambda name: defaults.get(name[1], name[0]), stages[-1])


def measure_images(names: list[str]) -> ImagesReport:
    """The sizes of the images `train-to-serve/<name>`.

    Raises:
        ExperimentError: an image, or Docker, is missing.
    """
    sizes = []
    for name in names:
        path = ROOT / f"docker/{name}.Dockerfile"
        try:
            base = base_image(path.read_text(encoding="utf-8"))
        except (OSError, ExperimentError) as error:
            raise ExperimentError(f"{path}: {error}") from error
        size = _size(f"train-to-serve/{name}:latest")
        if size is None:
            raise ExperimentError(f"train-to-serve/{name}: no such image; `make images` builds it")
        sizes.append(ImageSize(image=name, bytes=size, base=base, base_bytes=_size(base)))
    version = docker("version", "--format", "{{.Server.Version}}")
    return ImagesReport(**made_now(()), docker=version, images=tuple(sizes))


def docker(*arguments: str) -> str:
    """What Docker's command line prints.

    Raises:
        ExperimentError: there is no such program, or it failed.
    """
    try:
        done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)  # noqa: S603, S607
    except OSError as error:
        raise ExperimentError(f"docker: {error.strerror}") from error
    if done.returncode:
        raise ExperimentError(f"docker {arguments[0]}: {done.stderr.strip().partition(chr(10))[0]}")
    return done.stdout.strip()


def _size(image: str) -> int | None:
    """Its bytes, or None where it isn't kept. Raises ExperimentError if there is no Docker engine."""
    found = docker("image", "ls", "--no-trunc", "--quiet", image)
    return int(docker("image", "inspect", "--format", "{{.Size}}", found.split()[0])) if found else None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add_folders(parser, models=False)
    parser.add_argument("images", nargs="+", help="names of the images, without train-to-serve/")


def run(options: argparse.Namespace) -> int:
    """Measure the images."""
    return publish(measure_images(options.images), options.reports)
