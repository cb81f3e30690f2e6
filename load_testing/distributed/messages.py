"""What workers and their master tell each other, beside Locust's own messages."""

import hashlib
import socket
from pathlib import Path

import msgspec

from bundle.manifest import find_manifest, read_manifest
from load_testing.cpus import available_cpus
from load_testing.plan import LoadResult

BUNDLE = "bundle"
"""Worker: which bundle I have (an `Introduction`)."""

PREPARE = "prepare"
"""Master: you may take part; get ready for this URL and these scenarios (a `Task`)."""

PREPARED = "prepared"
"""Worker: ready for users, or why not (text, "" if ready)."""

REFUSED = "refused"
"""Master: leave; with the reason (text)."""

FINISH = "finish"
"""Master: stop the users, let the requests on their way finish, send the rest."""

RESULT = "result"
"""Worker: a `WorkerReport`, the last of this run. Earlier ones travel in Locust's statistics under the same name."""


class BundleIdentity(msgspec.Struct, frozen=True):
    """The model's version, and the SHA-256 of the manifest, which holds the digests of all else."""

    version: str
    digest: str

    @classmethod
    def of(cls, folder: Path) -> "BundleIdentity":
        """The identity of the bundle in the folder.

        Raises:
            BundleError: there is no usable one.
        """
        manifest = read_manifest(folder)
        return cls(manifest.version, hashlib.sha256(find_manifest(folder).read_bytes()).hexdigest())

    def __str__(self) -> str:
        return f"{self.version} (manifest SHA-256 {self.digest[:12]}…)"


class Introduction(msgspec.Struct, frozen=True):
    """A worker's bundle, or what is wrong with it."""

    bundle: BundleIdentity | None
    fault: str = ""


class Task(msgspec.Struct, frozen=True):
    """`url` is None as long as nobody has said which service it will be (Locust's web page asks for it)."""

    url: str | None
    scenarios: tuple[str, ...]


class Node(msgspec.Struct, frozen=True):
    """The machine that a worker runs on: `cpus` are those that it may use."""

    host: str
    cpus: int

    @classmethod
    def here(cls) -> "Node":
        """This one."""
        return cls(socket.gethostname(), len(available_cpus()))


class WorkerReport(msgspec.Struct, frozen=True, kw_only=True):
    """All that a worker has measured in this run so far; `users` is how many clients it runs, or ran at the stop."""

    node: Node
    users: int
    load: LoadResult
    final: bool
