"""Locks: one owner at a time, told to the second one, and free as soon as the owner's process has ended."""

import re
import signal
import threading
from pathlib import Path

import pytest

from bundle.lock import OWNER, InUseError, owning, waiting_for
from tests.lock_holder import another_process


def own(lock):
    with owning(lock, "the folder", "wait for it"):
        pass


def test_second_owner_is_told_who_holds_it(tmp_path):
    with another_process(tmp_path / OWNER) as process:
        with pytest.raises(InUseError) as raised:
            own(tmp_path / OWNER)
        assert re.fullmatch(
            rf"the folder is in use by process {process.pid} on \S+ since \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d UTC "
            rf"\(python -c {tmp_path}/\.in-use\); wait for it",
            str(raised.value),
        )
    own(tmp_path / OWNER)


def test_lock_of_a_killed_process_is_free(tmp_path):
    with another_process(tmp_path / OWNER) as process:
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        assert (tmp_path / OWNER).exists()
        own(tmp_path / OWNER)
    assert list(tmp_path.iterdir()) == []


def test_password_in_a_command_is_not_told(tmp_path):
    with another_process(tmp_path / OWNER, "--storage", "postgresql+psycopg://me:secret@host/db"):
        assert "secret" not in (tmp_path / OWNER).read_text()
        with pytest.raises(InUseError, match=r"postgresql\+psycopg://me:\*\*\*@host/db"):
            own(tmp_path / OWNER)


def test_lock_makes_its_folder_and_leaves_it_only_if_it_is_used(tmp_path):
    lock = tmp_path / "not" / "yet" / OWNER
    with owning(lock, "it", "wait"):
        assert lock.is_file()
    assert list(tmp_path.iterdir()) == []
    with owning(lock, "it", "wait"):
        (lock.parent / "result").write_text("mine")
    assert list(lock.parent.iterdir()) == [lock.parent / "result"]
    (tmp_path / "there").mkdir()
    with owning(tmp_path / "there" / OWNER, "it", "wait"):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["not", "there"]


@pytest.mark.parametrize("error", [FileNotFoundError, FileExistsError])
def test_a_folder_that_its_previous_holder_is_just_removing_is_made_again(tmp_path, monkeypatch, error):
    made, original = [], Path.mkdir

    def mkdir(self, *arguments, **keywords):
        made.append(self)
        if len(made) < 3:
            raise error(17, "as pathlib has it in that race")
        original(self, *arguments, **keywords)

    monkeypatch.setattr(Path, "mkdir", mkdir)
    with owning(tmp_path / "folder" / OWNER, "it", "wait"):
        assert len(made) == 3


@pytest.mark.parametrize("there", ["file", "dangling"])
def test_a_folder_that_cannot_be_made_is_an_error(tmp_path, there):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    with pytest.raises(OSError, match=r"File exists|Not a directory"), owning(tmp_path / there / OWNER, "it", "wait"):
        pass
    assert (tmp_path / "file").read_text() == "mine"


def test_a_relative_lock_is_released_wherever_the_process_has_gone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with owning(Path("folder") / OWNER, "it", "wait"):
        monkeypatch.chdir("/")
    assert list(tmp_path.iterdir()) == []


def test_link_in_place_of_the_lock_is_not_followed(tmp_path):
    (tmp_path / "mine").write_text("mine")
    (tmp_path / OWNER).symlink_to(tmp_path / "mine")
    with pytest.raises(OSError, match="symbolic link"):
        own(tmp_path / OWNER)
    assert (tmp_path / "mine").read_text() == "mine"


def test_folder_that_was_removed_meanwhile_can_be_owned_again(tmp_path):
    lock = tmp_path / "folder" / OWNER
    with owning(lock, "it", "wait"):
        lock.unlink()
        lock.parent.rmdir()
        own(lock)
        with owning(lock, "it", "wait"):
            pass


def test_those_who_wait_come_one_after_the_other(tmp_path):
    """Each adds one to a number that they read and write in separate steps."""
    number = tmp_path / "number"
    number.write_text("0")

    def count():
        for _ in range(50):
            with waiting_for(tmp_path / "lock"):
                number.write_text(str(int(number.read_text()) + 1))

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert number.read_text() == "200"
    assert list(tmp_path.iterdir()) == [number]
