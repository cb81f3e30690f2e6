"""The parent of several worker processes: starts anew those that end, and lets all of them reload the bundle."""

import logging
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from socket import socket

from uvicorn import Config
from uvicorn.supervisors import Multiprocess

from bundle.errors import BundleError
from serving.settings import SettingsError

logger = logging.getLogger("serving")


class Supervisor(Multiprocess):
    """uvicorn's, but for what SIGHUP does: new workers, as it would start, would cut off the old ones' clients."""

    def __init__(self, config: Config, sockets: list[socket], take_bundle: Callable[[], str]) -> None:
        """`take_bundle` gives the workers the bundle that is there by then, and returns the model's version."""
        super().__init__(config, sockets)
        self._take_bundle = take_bundle

    def handle_hup(self) -> None:
        """Let every worker reload the bundle, if it is a good one."""
        try:
            version = self._take_bundle()
        except (SettingsError, BundleError) as error:
            logger.error("not reloaded, the model stays: %s", error)
            return
        logger.info("all workers reload: model version %s", version)
        for process in self.processes:
            if process.pid is not None:
                with suppress(ProcessLookupError):  # it has just ended; its successor starts with the new bundle
                    os.kill(process.pid, signal.SIGHUP)
