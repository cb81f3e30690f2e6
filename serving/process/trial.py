"""A process that tries a bundle before the workers get it, so that nothing that the bundle holds can harm their parent.

It copies the bundle and makes an application of the copy. Whatever the outcome, an error, a crash or a hang, it is
reported in one line.
"""

import importlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from bundle.errors import BundleError
from serving.process.copies import copy_bundle
from serving.process.reloading import LOAD_SECONDS, make_application
from serving.settings import SettingsError, read_settings

_REFUSED = 2


class Trial:
    """The trial process of the service that `module` names. Its copy of the bundle is at `copy`, unless it failed."""

    def __init__(self, module: str, copy: Path, environment: Mapping[str, str]) -> None:
        self.copy = copy
        self._deadline = time.monotonic() + LOAD_SECONDS
        self._process = subprocess.Popen(  # noqa: S603 - this program, and a path of its own
            [sys.executable, "-m", "serving.process.trial", module, str(copy)],
            env={**environment}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def is_over(self) -> bool:
        """Whether there is a result, or no time left to wait for one."""
        return self._process.poll() is not None or time.monotonic() > self._deadline

    def result(self) -> str:
        """The version of the model, if it can be used. To be called once the trial is over.

        Raises:
            BundleError: the bundle can't be used.
        """
        status = self._process.poll()
        if status is None:
            self.stop()
            raise BundleError(f"the model takes longer than {LOAD_SECONDS} seconds to be loaded")
        with self._process:
            told = self._process.communicate()[0].decode(errors="replace").strip()
        if status == 0 and told:
            return told
        if status == _REFUSED:
            raise BundleError(told)
        raise BundleError(f"a process that loaded the model ended with {describe_status(status)}")

    def stop(self) -> None:
        """End the process."""
        with self._process:
            self._process.kill()


def describe_status(status: int) -> str:
    """How a process ended, by its exit status; a negative one is the number of a signal."""
    return signal.Signals(-status).name if status < 0 else f"status {status}"


def main(module: str, copy: str) -> int:
    """Print the model's version, or why it can't be used. Returns the exit status."""
    signal.alarm(LOAD_SECONDS)  # in case the parent is gone by then
    answer = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8", errors="replace")
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # whatever the model prints
    service = importlib.import_module(module)
    with answer:
        try:
            settings = read_settings(default_port=service.PORT)
            version = copy_bundle(settings, service.ARTIFACT, Path(copy))
            try:
                make_application(service.build, replace(settings, model_dir=Path(copy)))
            except BundleError as error:
                raise BundleError(str(error).replace(copy, str(settings.model_dir))) from error
        except (SettingsError, BundleError) as error:
            answer.write(" ".join(str(error).split()))
            return _REFUSED
        answer.write(version)
    return 0


if __name__ == "__main__":
    os._exit(main(*sys.argv[1:]))  # without waiting for what the model may have started
