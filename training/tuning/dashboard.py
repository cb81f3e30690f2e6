"""`make dashboard`: the studies of a storage in the browser, by optuna-dashboard."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from bundle.command_line import Parser, whole_number
from training.ownership import study_file
from training.tuning.study import without_password


def main(arguments: Sequence[str] | None = None) -> int:  # noqa: RET503 - execv does not return
    """Becomes optuna-dashboard; exit status 1 if there is no study to show."""
    parser = Parser("training dashboard", __doc__)
    parser.add_argument("--storage", default="", help="Optuna storage URL (default: the file in the reports folder)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=whole_number(1, 65535), default=8080, help="port to listen on")
    parser.add_folders(Path("reports/training"))
    given = parser.read(arguments)
    storage = given.storage or f"sqlite:///{given.reports / 'study.db'}"
    file = study_file(storage)
    if file is not None and not file.exists():
        shown = without_password(storage)
        print(f"error: {shown}: no study there; `make train` makes one (MODELS=, REPORTS=, STORAGE=)", file=sys.stderr)
        return 1
    command = Path(sys.executable).with_name("optuna-dashboard")
    os.execv(command, [str(command), storage, "--host", given.host, "--port", str(given.port)])  # noqa: S606 - no return, no shell
