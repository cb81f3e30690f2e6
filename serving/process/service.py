"""Start a service: settings, bundle, uvicorn. Errors are printed in one line, with a non-zero exit status."""

import logging
import os
import resource
import signal
import sys
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from uvicorn import Config, Server
from uvicorn.config import LOGGING_CONFIG

from bundle.errors import BundleError
from bundle.manifest import ArtifactKind
from serving.process.address import claimed_address
from serving.process.copies import Copies, copy_bundle
from serving.process.http_protocol import Protocol
from serving.process.private_folder import PrivateFolder
from serving.process.reloading import RELOADING_SIGNALS, Build, ReloadingApplication
from serving.process.supervisor import Supervisor
from serving.settings import Settings, SettingsError, read_settings

NOT_STARTED = 2

OTHER_FILES = 256
"""File descriptors that a worker needs for things other than its clients' connections."""

logger = logging.getLogger("serving")


def run(module: str, build: Build, artifact: ArtifactKind, *, default_port: int) -> int:
    """Serve the application that `build` makes until a signal. Returns the exit status.

    `module` has `build`, and a function `serve` that the worker processes call.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, RELOADING_SIGNALS)
    try:
        settings = read_settings(default_port=default_port)
        with claimed_address(settings):
            _allow_files(2 * settings.max_connections + OTHER_FILES)
            if settings.workers > 1:
                return _run_workers(module, artifact, settings)
            return _run_alone(ReloadingApplication(build, settings), settings)
    except (SettingsError, BundleError) as error:
        print(f"error: {error}", file=sys.stderr)
        return NOT_STARTED


def _run_alone(application: ReloadingApplication, settings: Settings) -> int:
    config = _configure(application, settings)
    _tell(application.version, settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        # uvicorn raises the signal that ended it again after draining; for a service that is a clean exit
        signal.signal(number, lambda *_: None)
    server = Server(config)
    server.run([config.bind_socket()])
    if application.is_building():
        logging.shutdown()
        os._exit(0)  # the interpreter can't end while that thread is in the model's code
    return 0 if server.started else NOT_STARTED


def _run_workers(module: str, artifact: ArtifactKind, settings: Settings) -> int:
    """Give the workers, which inherit this process's environment, their bundle, keys and a place for their metrics.

    Raises:
        BundleError: there is no complete bundle, or no worker can use it.
    """
    with TemporaryDirectory(prefix="serving-") as folder:
        environment = dict(os.environ)
        private = PrivateFolder(Path(folder))
        copies, version = _share(settings, artifact, private)
        config = _configure(f"{module}:serve", settings)
        _tell(version, settings)
        supervisor = Supervisor(config, [config.bind_socket()], module, private, copies, environment)
        supervisor.run()
        if supervisor.failure:
            raise BundleError(supervisor.failure.replace(str(private.copies / "current"), str(settings.model_dir)))
        return 0


def _share(settings: Settings, artifact: ArtifactKind, private: PrivateFolder) -> tuple[Copies, str]:
    """The workers' copies of the bundle, and the model's version."""
    try:
        private.prepare(os.environ)
        private.write_keys(settings.api_keys)
        copies = Copies(private.copies)
        copy = copies.name_next()
        version = copy_bundle(settings, artifact, copy)
        copies.adopt(copy)
    except OSError as error:
        raise BundleError(f"{private.path}: can't be written for the workers: {error.strerror}") from error
    return copies, version


def _configure(application: ReloadingApplication | str, settings: Settings) -> Config:
    """`application` is one, or names the function that makes one in each worker."""
    return Config(
        application,
        factory=isinstance(application, str),
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
    """uvicorn's, with the service's log lines in the same format."""
    config = deepcopy(LOGGING_CONFIG)
    own = {"handlers": ["default"], "level": settings.log_level.upper(), "propagate": False}
    config["loggers"][logger.name] = own
    if settings.tracing:
        config["loggers"]["opentelemetry"] = own
    return config


def _tell(version: str, settings: Settings) -> None:
    """Log what is served, and to whom."""
    logger.info("model version %s", version)
    if settings.api_keys:
        logger.info("all requests need an API key, except those for health and the page of /docs")
    else:
        logger.info("no API key is asked for: whoever can connect is answered (SERVE_API_KEY, SERVE_API_KEY_FILE)")


def _allow_files(wanted: int) -> None:
    """Let this process and its workers open this many files at once, or as many as allowed: each connection is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
