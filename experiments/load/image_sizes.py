"""`make images`: how large the container images are, and what each adds to the image that it is built on.

Exit status: 0 written, 1 an image is missing or there is no Docker engine.
"""

import re
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import msgspec

from bundle.command_line import Parser, file_path
from bundle.files import encode_result, write_files
from bundle.machine import Machine, command_line, describe_machine
from bundle.manifest import utc_now
from load_testing.services import ROOT


class ImageError(Exception):
    """Docker, or a Dockerfile, doesn't say what was asked for. The message names the image."""


class ImageSize(msgspec.Struct, frozen=True, kw_only=True):
    """An image, and the one that its last stage is built on. Bytes of the unpacked layers, as `docker image ls` has
    them; `base_bytes` is None where the base is not kept beside it.
    """

    image: str
    bytes: int
    base: str
    base_bytes: int | None


class ImagesReport(msgspec.Struct, frozen=True, kw_only=True):
    """`images.json`."""

    created: datetime
    command: str
    machine: Machine
    docker: str
    images: tuple[ImageSize, ...]


def base_image(dockerfile: str) -> str:
    """The image of the last stage, with the defaults of the build arguments.

    Raises:
        ImageError: there is no such line.
    """
    defaults = dict(re.findall(r"^ARG (\w+)=(\S+)$", dockerfile, re.MULTILINE))
    stages = re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE)
    if not stages:
        raise ImageError("no FROM line in it")
    return re.sub(r"\$\{?(\w+)\}?", lambda name: defaults.get(name[1], name[0]), stages[-1])


def measure_images(names: list[str]) -> ImagesReport:
    """The sizes of the images `train-to-serve/<name>`.

    Raises:
        ImageError: an image, or Docker, is missing.
    """
    sizes = []
    for name in names:
        path = ROOT / f"docker/{name}.Dockerfile"
        try:
            base = base_image(path.read_text(encoding="utf-8"))
        except (OSError, ImageError) as error:
            raise ImageError(f"{path}: {error}") from error
        size = _size(f"train-to-serve/{name}:latest")
        if size is None:
            raise ImageError(f"train-to-serve/{name}: no such image; `make images` builds it")
        sizes.append(ImageSize(image=name, bytes=size, base=base, base_bytes=_size(base)))
    version = _docker("version", "--format", "{{.Server.Version}}")
    return ImagesReport(
        created=utc_now(),
        command=command_line(),
        machine=describe_machine(()),
        docker=version,
        images=tuple(sizes),
    )


def _size(image: str) -> int | None:
    """Its bytes, or None where it isn't kept. Raises ImageError if there is no Docker engine."""
    found = _docker("image", "ls", "--no-trunc", "--quiet", image)
    return int(_docker("image", "inspect", "--format", "{{.Size}}", found.split()[0])) if found else None


def _docker(*arguments: str) -> str:
    try:
        done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True)  # noqa: S603, S607
    except OSError as error:
        raise ImageError(f"docker: {error.strerror}") from error
    except subprocess.CalledProcessError as error:
        raise ImageError(f"docker {arguments[0]}: {error.stderr.strip().partition(chr(10))[0]}") from error
    return done.stdout.strip()


def format_table(report: ImagesReport) -> str:
    """A line per image, in MB (powers of ten)."""
    lines = [f"{'image':<8}{'MB':>8}{'on top of its base':>22}"]
    for size in report.images:
        own = "-" if size.base_bytes is None else f"{(size.bytes - size.base_bytes) / 1e6:.0f}"
        lines.append(f"{size.image:<8}{size.bytes / 1e6:>8.0f}{own:>22}")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0 written, 1 an image is missing or there is no Docker engine."""
    parser = Parser("experiments image-sizes", __doc__.partition("\n")[0])
    parser.add_argument("images", nargs="+", help="names of the images, without train-to-serve/")
    parser.add_argument("--reports", type=file_path, default=Path("reports"), help="folder for images.json")
    given = parser.read(arguments)
    try:
        report = measure_images(given.images)
        paths = write_files(given.reports, {"images.json": encode_result(report)})
    except (ImageError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(format_table(report), *paths, sep="\n")
    return 0
