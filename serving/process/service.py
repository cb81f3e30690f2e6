"""Start a service: settings, bundle, uvicorn. What is wrong is said in one line, with a non-zero exit status."""

import copy
import logging
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from uvicorn import Config, Server
from uvicorn.config import LOGGING_CONFIG

from bundle.artifacts import read_artifact
from bundle.errors import BundleError
from bundle.manifest import ArtifactKind, Manifest, read_manifest
from serving.process.http_protocol import Protocol
from serving.process.snapshot import Snapshot
from serving.process.supervisor import Supervisor
from serving.settings import PREFIX, Settings, SettingsError, read_settings

NOT_STARTED = 2

OTHER_FILES = 256
"""File descriptors that a worker needs for other things than its clients' connections."""

logger = logging.getLogger("serving")


def run(factory: str, artifact: ArtifactKind, *, default_port: int) -> int:
    """Serve the application that `factory` ("module:function") makes, until a signal. Returns the exit status.

    The bundle is checked here as well as in every worker, so that a broken one ends the service before it has begun.
    """
    with TemporaryDirectory(prefix="serving-") as folder:
        try:
            settings = read_settings(default_port=default_port)
            load(settings, artifact)
            take_bundle = _share(settings, artifact, Path(folder), default_port) if settings.workers > 1 else None
        except (SettingsError, BundleError) as error:
            print(f"error: {error}", file=sys.stderr)
            return NOT_STARTED
        _allow_files(2 * settings.max_connections + OTHER_FILES)
        for number in (signal.SIGTERM, signal.SIGINT):
            # uvicorn raises the signal that ended it once more when it has drained; for a service that is a clean exit
            signal.signal(number, lambda *_: None)
        config = _configure(factory, settings)
        _tell_who_is_answered(settings)
        if take_bundle is not None:
            Supervisor(config, [config.bind_socket()], take_bundle).run()
            return 0
        server = Server(config)
        server.run([config.bind_socket()])
        return 0 if server.started else NOT_STARTED


def _share(settings: Settings, artifact: ArtifactKind, folder: Path, default_port: int) -> Callable[[], str]:
    """Give the workers, which go by this process' environment, their bundle and a place for their metrics in `folder`.

    Returns what gives them the bundle that is there by then, and the settings as they are by then.
    """
    metrics, model = folder / "metrics", folder / "model"
    metrics.mkdir()
    model.mkdir()
    snapshot = Snapshot(model, artifact)
    snapshot.take(settings)
    environment = dict(os.environ)
    os.environ |= {"PROMETHEUS_MULTIPROC_DIR": str(metrics), f"{PREFIX}MODEL_DIR": str(snapshot.current)}
    return lambda: snapshot.take(read_settings(environment, default_port=default_port))


def _configure(factory: str, settings: Settings) -> Config:
    return Config(
        factory,
        factory=True,
        interface="asgi3",
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        loop="serving.process.event_loop:EventLoop",
        http=Protocol,
        ws="none",
        log_config=_log_config(settings),
        log_level=settings.log_level,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=settings.shutdown_seconds,
    )


def _log_config(settings: Settings) -> dict[str, Any]:
    """uvicorn's, with the service's own log lines written like its own."""
    config = copy.deepcopy(LOGGING_CONFIG)
    own = {"handlers": ["default"], "level": settings.log_level.upper(), "propagate": False}
    config["loggers"][logger.name] = own
    return config


def _tell_who_is_answered(settings: Settings) -> None:
    if settings.api_keys:
        logger.info("requests need an API key, but those to /health and the page of /docs")
    else:
        logger.info("no API key is asked for: whoever can connect is answered (SERVE_API_KEY, SERVE_API_KEY_FILE)")


def _allow_files(wanted: int) -> None:
    """Let this process and its workers open as many files at once, or as many as they may: a connection is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))


def load(settings: Settings, artifact: ArtifactKind) -> tuple[Manifest, bytes]:
    """The manifest and the artifact's content, checked against it.

    Raises:
        BundleError: there is no bundle, it is not whole, or not the pinned one.
    """
    manifest = read_manifest(settings.model_dir, pin=settings.manifest_sha256)
    return manifest, read_artifact(manifest, artifact, settings.model_dir)
