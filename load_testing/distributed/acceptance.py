"""Locust's list of workers and its distribution of users, held to those workers that the master has accepted."""

from collections.abc import Set as AbstractSet

from locust import User
from locust.dispatch import UsersDispatcher
from locust.runners import WorkerNode, WorkerNodes


class AcceptedWorkers(WorkerNodes):  # type: ignore[misc]  # Locust's types are not followed
    """A worker counts as ready (for `--expect-workers`, and to be given users) when its id is in `accepted`."""

    def __init__(self, connected: WorkerNodes, accepted: AbstractSet[str]) -> None:
        super().__init__()
        self.update(connected)
        self._accepted = accepted

    @property
    def ready(self) -> list[WorkerNode]:
        """Connected, accepted, and without users so far."""
        return [node for node in super().ready if node.id in self._accepted]


class AcceptedDispatcher(UsersDispatcher):  # type: ignore[misc]  # Locust's types are not followed
    """Gives no users to a worker that connects in the middle of a run: it waits for the next one."""

    def __init__(
        self, accepted: AbstractSet[str], worker_nodes: list[WorkerNode], user_classes: list[type[User]]
    ) -> None:
        super().__init__(worker_nodes, user_classes)
        self._accepted = accepted

    def add_worker(self, worker_node: WorkerNode) -> None:
        """Called by Locust for each worker that connects, when nobody knows yet what it has, or is heard of again."""
        if worker_node.id in self._accepted:
            super().add_worker(worker_node)
