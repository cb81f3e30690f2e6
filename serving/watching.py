"""What may look at requests while they are answered: a record of them, traces. Without either, nothing of it is done.

Watching is done from the outside: a watched request is answered by other callables, which call those of the endpoint.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, Protocol

from starlette.types import Scope

from bundle.manifest import Manifest
from serving.predictor import Batch, Predictions


class Steps(NamedTuple):
    """The steps from a request's body to its answer. What `decode` and `encode` take and give is their endpoint's own;
    what `decode` gives may be an iterator, whose work is done when it is consumed.
    """

    decode: Callable[..., Any]
    predict: Callable[[Batch], Predictions]
    encode: Callable[..., Any]


class Watch(Protocol):
    """Watches one request."""

    def around(self, steps: Steps) -> Steps:
        """The steps by which it is to be answered. They may be called from another thread."""

    def end(self, status: int | None) -> None:
        """It has been answered with this status; None: not at all, the client has gone or the service ends."""


class Watcher(Protocol):
    """Watches requests."""

    def begin(self, scope: Scope, route: str) -> Watch | None:
        """A request has come, whose id is in the scope; `route` is that of the metrics. None: it is not watched."""


def begin(watchers: Iterable[Watcher], scope: Scope, route: str, steps: Steps) -> tuple[Sequence[Watch], Steps]:
    """Who watches a request, and the steps by which it is to be answered then."""
    watches: list[Watch] | None = None
    for watcher in watchers:
        watch = watcher.begin(scope, route)
        if watch is not None:
            watches = [watch] if watches is None else [*watches, watch]
            steps = watch.around(steps)
    return watches or (), steps


class Observer(Protocol):
    """Has a watcher for every bundle that a process serves, and writes what they see."""

    def watcher(self, manifest: Manifest) -> Watcher:
        """A watcher of the requests for this model."""

    def start(self) -> None:
        """Begin to write."""

    def stop(self) -> None:
        """Write what is left, and end."""
