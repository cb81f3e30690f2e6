# ruff: noqa: INP001  # run by path
"""Run a module as the user who owns `models/`:  python as_owner.py MODULE [ARGUMENT]...

Nothing tells `docker compose up` who made the clone, but what a container writes into the clone must be theirs: a fixed
user could not write there, and would leave files behind that they can't delete. So compose starts this as root with
three capabilities; it becomes the owner and has none left. Started as anybody else (the image's own user) it changes
nothing. Where root owns the clone it stays root; with rootless Docker, that is the user outside.
"""

import os
import runpy
import signal
import stat
import sys
from pathlib import Path

MODELS = Path("models")
OTHERS = (Path("reports"), Path("data/adult"))


def become_owner() -> None:
    """Give up root for the owner of `models/`."""
    owner = MODELS.stat()
    for folder in OTHERS:
        # The engine makes a missing folder to mount, as root: that one is the owner's too. Others are left alone.
        if folder.is_dir() and folder.stat().st_uid == 0 and not any(folder.iterdir()):
            os.chown(folder, owner.st_uid, owner.st_gid)
    os.setgroups([])
    os.setresgid(owner.st_gid, owner.st_gid, owner.st_gid)
    os.setresuid(owner.st_uid, owner.st_uid, owner.st_uid)
    if os.access(MODELS, os.W_OK):  # a clone made with umask 077 hides the bundle from the services' user
        MODELS.chmod(stat.S_IMODE(owner.st_mode) | 0o555)


if __name__ == "__main__":
    if os.geteuid() == 0:
        become_owner()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # process 1 has no default for it
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
