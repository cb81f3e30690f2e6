"""What can watch requests while they are answered: the record and traces. Without either, nothing here runs.

Watching is done from the outside: a watched request is answered by other callables, which call those of the endpoint.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from starlette.types import Scope

from bundle.manifest import Manifest
from serving.predictor import Batch, Predictions


class Steps(NamedTuple):
    """The steps from a request's body to its answer. What `decode` and `encode` take and return is up to their
    endpoint; `decode` may return an iterator, whose work is done when it is consumed. `predicted` is called with the
    answer to a row that was predicted together with those of other requests; if it is None, `predict` must be called.
    """

    decode: Callable[..., Any]
    predict: Callable[[Batch], Predictions]
    encode: Callable[..., Any]
    predicted: Callable[[Batch, Predictions], None] | None = None


class Watch(Protocol):
    """Watches one request."""

    def around(self, steps: Steps) -> Steps:
        """The steps to answer it with. They may be called from another thread."""

    def end(self, status: int | None) -> None:
        """It has been answered with this status; None if not at all: the client has gone or the service is stopping."""


class Watcher(Protocol):
    """Watches requests."""

    def begin(self, scope: Scope, route: str) -> Watch | None:
        """A request has arrived, whose id is in the scope; `route` is its route in the metrics. None if it is not
        watched.
        """


class Together:
    """Several watchers as one."""

    def __init__(self, watchers: Sequence[Watcher]) -> None:
        self._watchers = watchers

    def begin(self, scope: Scope, route: str) -> Watch | None:
        """A request has arrived; each watcher decides whether to watch it."""
        begun = [watcher.begin(scope, route) for watcher in self._watchers]
        watches = [watch for watch in begun if watch is not None]
        return _Watches(watches) if watches else None


class _Watches:
    def __init__(self, watches: Sequence[Watch]) -> None:
        self._watches = watches

    def around(self, steps: Steps) -> Steps:
        for watch in self._watches:
            steps = watch.around(steps)
        return steps

    def end(self, status: int | None) -> None:
        for watch in self._watches:
            watch.end(status)


class Observer(Protocol):
    """Has a watcher for every bundle that a process serves, and writes what they see."""

    def watcher(self, manifest: Manifest) -> Watcher:
        """A watcher of the requests for this model."""

    def start(self) -> None:
        """Begin to write."""

    def stop(self) -> None:
        """Write what is left, and end."""
