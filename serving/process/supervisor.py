"""The parent of several worker processes: replaces those that end, and makes all of them reload keys and bundle."""

import logging
import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from socket import socket

from uvicorn import Config
from uvicorn.supervisors import Multiprocess

from bundle.errors import BundleError
from serving.process.copies import Copies
from serving.process.private_folder import PrivateFolder
from serving.process.reloading import RELOADING_SIGNALS
from serving.process.trial import Trial, describe_status
from serving.settings import SettingsError, read_keys

logger = logging.getLogger("serving")


class Supervisor(Multiprocess):
    """uvicorn's, with two differences. SIGHUP reloads within the workers: replacing them, as uvicorn does, would cut
    off their clients. And a service whose first workers can't start ends, instead of starting others for ever.

    `failure` is why it ended without having served.
    """

    failure = ""

    def __init__(
        self,
        config: Config,
        sockets: list[socket],
        module: str,
        private: PrivateFolder,
        copies: Copies,
        environment: Mapping[str, str],
    ) -> None:
        """`environment` is the service's own, not the workers', which get copies and digests from `private`."""
        super().__init__(config, sockets)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, RELOADING_SIGNALS)
        self._module = module
        self._private = private
        self._copies = copies
        self._environment = environment
        self._trial: Trial | None = None
        self._asked_again = False
        self._serving = False

    def run(self) -> None:
        """Run until a signal."""
        try:
            super().run()
        finally:
            if self._trial is not None:
                self._trial.stop()

    def init_processes(self) -> None:
        """Start the workers."""
        with _signals_deferred():
            super().init_processes()

    def keep_subprocess_alive(self) -> None:
        """Called twice a second."""
        self._serving = self._serving or self._private.ready.exists()
        if self._serving:
            with _signals_deferred():
                super().keep_subprocess_alive()
            self._take_tried_bundle()
            return
        ended = [process.exitcode for process in self.processes if process.exitcode is not None]
        if ended:
            told = f"a worker ended with {describe_status(ended[0])} before it served"
            self.failure = self._private.read_failure() or told
            self.should_exit.set()

    def handle_hup(self) -> None:
        """Make the workers reload the API keys at once, and the bundle as soon as it is known to work."""
        self.handle_usr1()
        if self._trial is not None:  # it may be trying an older bundle
            self._asked_again = True  # afterwards: if signals ended trials, frequent ones would prevent a reload
            return
        environment = dict(self._environment)
        self._private.name_in(environment)
        self._trial = Trial(self._module, self._copies.name_next(), environment)

    def handle_usr1(self) -> None:
        """Make the workers reload the API keys."""
        try:
            self._private.write_keys(read_keys(self._environment))
        except (SettingsError, OSError) as error:
            logger.error("not reloaded, the API keys stay: %s", error)
            return
        self._signal_workers(signal.SIGUSR1)

    def _take_tried_bundle(self) -> None:
        if self._trial is None or not self._trial.is_over():
            return
        trial, self._trial = self._trial, None
        self._take(trial)
        if self._asked_again:
            self._asked_again = False
            self.handle_hup()

    def _take(self, trial: Trial) -> None:
        try:
            version = trial.result()
            self._copies.adopt(trial.copy)
        except (BundleError, OSError) as error:
            self._copies.discard(trial.copy)
            logger.error("not reloaded, the model stays: %s", error)
            return
        logger.info("all workers reload: model version %s", version)
        self._signal_workers(signal.SIGHUP)

    def _signal_workers(self, number: signal.Signals) -> None:
        for process in self.processes:
            if process.pid is not None:
                with suppress(ProcessLookupError):  # it has just ended; its successor starts with what is there now
                    os.kill(process.pid, number)


@contextmanager
def _signals_deferred() -> Iterator[None]:
    """Workers that are started meanwhile, and this process, get signals to reload only when they can handle them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, RELOADING_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
