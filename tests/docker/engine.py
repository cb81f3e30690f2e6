"""Talk to the Docker engine as a user does: by its command line."""

import contextlib
import json
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
USER = "10001"
SERVICES = ("pickle", "onnx", "axum")
PORTS = {"pickle": 8000, "onnx": 8001, "axum": 3000}
IMAGES = (*SERVICES, "train", "bench")
BUILD_SECONDS = 900
HEALTHY_SECONDS = 120


def run(*command: str | Path, seconds: float = 60, check: bool = True, **options: Any) -> str:
    """Standard output; what went wrong is in the failure."""
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=seconds, check=False, stdin=subprocess.DEVNULL, **options
    )
    assert done.returncode == 0 or not check, (
        f"{command}: {done.returncode}\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
    )
    return done.stdout.strip()


def docker(*arguments: str | Path, **options: Any) -> str:
    return run("docker", *arguments, **options)


def inspect(name: str) -> dict[str, Any]:
    return json.loads(docker("inspect", name))[0]


def logs(name: str) -> str:
    done = subprocess.run(
        ["docker", "logs", name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    return done.stdout


def succeeds(*command: str) -> bool:
    return bool(shutil.which(command[0])) and not subprocess.run(command, capture_output=True, check=False).returncode


def compose_command() -> list[str] | None:
    """The plugin, the older tool of its own, or nothing."""
    if succeeds("docker", "compose", "version"):
        return ["docker", "compose"]
    return ["docker-compose"] if shutil.which("docker-compose") else None


def python_in(image: str, code: str, *options: str | Path) -> str:
    """What the code prints in a fresh container of the image."""
    return docker("run", "--rm", "--network=none", *options, "--entrypoint=python", image, "-c", code)


def wait_until(condition: Any, what: str, seconds: float = HEALTHY_SECONDS) -> float:
    """Seconds until the condition held."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds, f"not within {seconds} s: {what() if callable(what) else what}"
        time.sleep(0.2)
    return time.monotonic() - started


def wait_until_healthy(container: str) -> float:
    def healthy() -> bool:
        state = inspect(container)["State"]
        assert state["Status"] != "exited", logs(container)
        return state["Health"]["Status"] == "healthy"

    return wait_until(healthy, lambda: f"{container} is healthy\n{logs(container)}")


@contextlib.contextmanager
def serving(image: str, models: Path, *, cpus: str) -> Iterator[str]:
    """A healthy container with the restrictions that compose.yaml gives it, removed at the end."""
    restrictions = ["--init", "--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges:true"]
    container = docker(
        "run", "--detach", *restrictions, f"--cpus={cpus}", "--memory=2g", f"--volume={models}:/app/models:ro", image
    )
    try:
        wait_until_healthy(container)
        yield container
    finally:
        docker("rm", "--force", "--volumes", container)


def without(environment: Mapping[str, str], *prefixes: str) -> dict[str, str]:
    return {name: value for name, value in environment.items() if not name.startswith(prefixes)}
