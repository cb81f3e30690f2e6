"""A training run owns what it writes to while it runs: the study's file, the reports folder and the models folder."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from bundle.lock import OWNER, owning, owning_reports
from training.options import Options


@contextmanager
def owning_outputs(options: Options) -> Iterator[None]:
    """Own them until the block ends. A study on a database server is shared, and a run that only helps with one writes
    to no folder.

    Raises:
        InUseError: another process owns one of them.
        OSError: a lock's file can't be written there.
    """
    with ExitStack() as owned:
        if (file := study_file(options.storage)) is not None:
            lock = file.with_name(f".{file.name}{OWNER}")
            owned.enter_context(owning(lock, f"the study in {file}", "wait for it, or name another file with STORAGE="))
        if not options.tune_only:
            owned.enter_context(owning_reports(options.reports))
            remedy = "wait for it, or name another folder with MODELS="
            owned.enter_context(owning(options.models / OWNER, str(options.models), remedy))
        yield


def study_file(storage: str) -> Path | None:
    """The file that an SQLite storage keeps its studies in; None for a database server, for memory, and for what is not
    a storage URL.
    """
    try:
        url = make_url(storage)
    except ArgumentError:
        return None
    if url.get_backend_name() != "sqlite" or url.database in (None, "", ":memory:"):
        return None
    return Path(url.database.removeprefix("file:")).resolve()
