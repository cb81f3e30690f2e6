"""Ctrl-C that waits for what can't be cut short.

An interrupted statement of the study's storage leaves a database session that no longer works: the interrupted trial
could not be marked as failed, nor the best trial so far be read and published. And XGBoost loses a KeyboardInterrupt
that is raised while it reads rows: it ends in an error of its own, or in a crash of the process.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Insisted(KeyboardInterrupt):
    """Ctrl-C that was pressed again before the first took effect. It may have cut short a statement of the storage."""


class _Held:
    """A handler of SIGINT that keeps the first signal, and acts on the next one at once."""

    def __init__(self) -> None:
        self.kept = False

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        if self.kept:
            raise Insisted
        self.kept = True

    def raise_kept(self) -> None:
        if self.kept:
            self.kept = False
            raise KeyboardInterrupt


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Ctrl-C within it takes effect in the next `raise_held`, or at its end; a second one takes effect at once.

    It changes nothing in a thread, which gets no signals, nor where SIGINT is ignored or has a handler already.

    Raises:
        KeyboardInterrupt: it was pressed after the last `raise_held`.
        Insisted: it was pressed twice.
    """
    own = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not own or threading.current_thread() is not threading.main_thread():
        yield
        return
    held = _Held()
    signal.signal(signal.SIGINT, held)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    held.raise_kept()


class StoppedError(Exception):
    """Rows are not read on, since Ctrl-C was pressed. XGBoost passes on no KeyboardInterrupt from a batch of rows."""


def stop_if_held() -> None:
    """A point inside XGBoost's reading at which Ctrl-C may take effect.

    Raises:
        StoppedError: it was pressed within `interrupts_held`.
    """
    handler = signal.getsignal(signal.SIGINT)
    if isinstance(handler, _Held) and handler.kept:
        raise StoppedError


def raise_held() -> None:
    """A point at which Ctrl-C may take effect.

    Raises:
        KeyboardInterrupt: it was pressed within `interrupts_held`.
    """
    handler = signal.getsignal(signal.SIGINT)
    if isinstance(handler, _Held) and threading.current_thread() is threading.main_thread():
        handler.raise_kept()
