"""Start a service: settings, bundle, uvicorn. What is wrong is said in one line, with a non-zero exit status."""

import os
import signal
import sys
import tempfile
from contextlib import ExitStack

import uvicorn

from bundle.artifacts import read_artifact
from bundle.errors import BundleError
from bundle.manifest import ArtifactKind, Manifest, read_manifest
from serving.http_protocol import Protocol
from serving.settings import Settings, SettingsError, read_settings


def run(factory: str, artifact: ArtifactKind, *, default_port: int) -> int:
    """Serve the application that `factory` ("module:function") makes, until a signal. Returns the exit status.

    The bundle is checked here as well as in every worker, so that a broken one ends the service instead of making it
    start workers for ever.
    """
    try:
        settings = read_settings(default_port=default_port)
        load(settings, artifact)
    except (SettingsError, BundleError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for number in (signal.SIGTERM, signal.SIGINT):
        # uvicorn raises the signal that ended it once more when it has drained; for a service that is a clean exit
        signal.signal(number, lambda *_: None)
    with ExitStack() as stack:
        if settings.workers > 1:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="metrics-"))
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        uvicorn.run(
            factory,
            factory=True,
            host=settings.host,
            port=settings.port,
            workers=settings.workers,
            loop="uvloop",
            http=Protocol,
            ws="none",
            log_level=settings.log_level,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=settings.shutdown_seconds,
        )
    return 0


def load(settings: Settings, artifact: ArtifactKind) -> tuple[Manifest, bytes]:
    """The manifest and the artifact's content, checked against it.

    Raises:
        BundleError: there is no bundle, it is not whole, or not the pinned one.
    """
    manifest = read_manifest(settings.model_dir, pin=settings.manifest_sha256)
    return manifest, read_artifact(manifest, artifact, settings.model_dir)
