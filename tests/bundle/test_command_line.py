"""What a person writes after `make` or `python -m` is what the command gets, or is told to be wrong."""

import argparse
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bundle.command_line import Parser, file_path, real_number, run, whole_number

ROOT = Path(__file__).resolve().parents[2]
ODD = 'Bob\'s "own" $1 $(HOME) `id` a\\b #c;d.csv'


@pytest.fixture(scope="module")
def makefile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's Makefile, with a target that shows what a command is given, and this interpreter."""
    path = tmp_path_factory.mktemp("make") / "Makefile"
    show = "show:\n\t$(run) tests.bundle.show_options show\nother:\n\t@$(call takes,SERVE_% TRIALS)echo done\n"
    path.write_text(f"include {ROOT / 'Makefile'}\nPY := {sys.executable}\n{show}")
    return path


def make(makefile: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    outer = {"MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MAKE_VARIABLES"}  # of a `make test`
    surroundings = {name: value for name, value in os.environ.items() if name not in outer}
    command = ["make", "--no-print-directory", "-f", str(makefile), *arguments]
    return subprocess.run(command, cwd=ROOT, env=surroundings, capture_output=True, text=True, check=False)


def test_variables_of_make_are_options_as_they_were_typed(makefile: Path):
    given = ("DATA_DIR=~/a folder", "TRIALS=5", "NAMES=one two", "FRESH=1", "SEED=", "SECONDS=0.5")
    done = make(makefile, "show", f"INPUT={ODD}", *given)
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert shown["input"] == ODD
    assert shown["data_dir"] == str(Path.home() / "a folder")
    assert (shown["trials"], shown["fresh"], shown["seed"]) == ("5", "True", "None")
    assert shown["names"] == "['one', 'two']"
    assert shown["seconds"] == "0.5"
    assert sorted(word for word in shown["argv"] if word.startswith("--")) == [
        "--data-dir",
        "--fresh",
        "--input",
        "--names",
        "--seconds",
        "--trials",
    ]


@pytest.mark.parametrize("off", ["FRESH=0", "FRESH=", "FRESH=no"])
def test_a_flag_can_be_given_as_off(off: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    parser = Parser("tests show", "")
    parser.add_argument("--fresh", action="store_true")
    monkeypatch.setenv("MAKE_VARIABLES", "FRESH")
    monkeypatch.setenv("FRESH", off.partition("=")[2])
    monkeypatch.setattr(sys, "argv", ["tests", "show"])
    assert parser.read(None).fresh is False
    assert "MAKE_VARIABLES" not in os.environ  # commands that this one starts have none of make's


def test_a_misspelt_variable_is_told(makefile: Path):
    done = make(makefile, "show", "TRAILS=5")
    assert done.returncode != 0
    assert done.stderr.startswith("error: TRAILS: python -m tests show has no such option; did you mean TRIALS?\n")
    done = make(makefile, "show", "input=x")
    assert "error: input: python -m tests show has no such option; did you mean INPUT?" in done.stderr
    done = make(makefile, "other", "TRAILS=5")
    assert "TRAILS: `make other` takes SERVE_* TRIALS" in done.stderr
    assert make(makefile, "other", "SERVE_PORT=1", "TRIALS=2").stdout == "done\n"


def test_help_of_a_target_that_is_no_command_lists_its_variables(makefile: Path):
    done = make(makefile, "other", "HELP=1")
    assert (done.returncode, done.stdout) == (0, "`make other` takes SERVE_* TRIALS; docs/ explains them\n")


def targets() -> list[str]:
    return re.findall(r"^([a-z-]+):(?!=)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("target", targets())
def test_every_target_tells_what_it_does_not_know(target: str):
    """Either it refuses the variable itself, or hands it on to a command that does."""
    done = make(ROOT / "Makefile", "--dry-run", target, "TRAILS=5")
    assert "TRAILS: `make " in done.stderr or "MAKE_VARIABLES='TRAILS'" in done.stdout or target == "build-axum"


def test_help_fits_a_terminal_and_the_makefile_a_page():
    lines = make(ROOT / "Makefile", "help").stdout.splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 80
    assert lines[1].startswith("  train ")
    assert len((ROOT / "Makefile").read_text(encoding="utf-8").splitlines()) <= 110


def test_a_wrong_value_is_told_by_the_name_that_it_was_given_under(makefile: Path):
    done = make(makefile, "show", "TRIALS=many")
    assert done.stderr.startswith("error: TRIALS: 'many' is not a whole number above 0 (HELP=1 lists the options)\n")


def test_what_is_missing_is_told_by_the_names_of_variables():
    command = [sys.executable, "-m", "training", "package"]
    surroundings = {**os.environ, "MAKE_VARIABLES": ""}
    done = subprocess.run(command, cwd=ROOT, env=surroundings, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == (
        "error: PIPELINE or ONNX is needed, one of them: the model to package (HELP=1 lists the options)\n"
    )


@pytest.mark.parametrize(
    ("option", "text", "problem"),
    [
        ("--trials", "abc", "'abc' is not a whole number above 0"),
        ("--trials", "0", "'0' is not a whole number above 0"),
        ("--trials", "1.5", "'1.5' is not a whole number above 0"),
        ("--seed", "10", "'10' is not a whole number from 0 to 9"),
        ("--seed", "-1", "'-1' is not a whole number from 0 to 9"),
        ("--seconds", "0", "'0' is not a number above 0"),
        ("--seconds", "nan", "'nan' is not a number above 0"),
        ("--seconds", "inf", "'inf' is not a number above 0"),
        ("--pause", "-0.5", "'-0.5' is not a number of at least 0"),
        ("--share", "1.5", "'1.5' is not a number above 0 and at most 1"),
        ("--share", "0", "'0' is not a number above 0 and at most 1"),
        ("--tria", "5", "unrecognized arguments: --tria=5"),
    ],
)
def test_numbers_out_of_range(option: str, text: str, problem: str, capsys: pytest.CaptureFixture[str]):
    parser = Parser("tests show", "")
    parser.add_argument("--trials", type=whole_number(1))
    parser.add_argument("--seed", type=whole_number(0, 9))
    parser.add_argument("--seconds", type=real_number())
    parser.add_argument("--pause", type=real_number(above=False))
    parser.add_argument("--share", type=real_number(0, 1))
    with pytest.raises(SystemExit, match="2"):
        parser.read([f"{option}={text}"])
    told = problem if problem.startswith("unrecognized") else f"{option}: {problem}"
    assert capsys.readouterr().err == f"error: {told} (python -m tests show --help lists the options)\n"


def test_help_names_the_defaults_that_say_something(capsys: pytest.CaptureFixture[str]):
    parser = Parser("tests show", "Show.")
    parser.add_argument("--trials", default=100, help="how many")
    parser.add_argument("--storage", default="", help="where (default: in memory)")
    parser.add_argument("--fresh", action="store_true", help="forget")
    with pytest.raises(SystemExit, match="0"):
        parser.read(["--help"])
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line.startswith("  --")}
    assert lines["--trials"].endswith("how many (default: 100)")
    assert lines["--storage"].endswith("where (default: in memory)")
    assert lines["--fresh"].endswith("forget")


def test_the_command_is_chosen_by_its_name(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    commands = {"here": ("tests.bundle.nothing_there", "does something")}
    monkeypatch.setattr(sys, "argv", ["tests"])
    assert run("tests", commands) == 2
    assert "  here  does something" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["tests", "there"])
    assert run("tests", commands) == 2
    assert capsys.readouterr().err.startswith("error: python -m tests has no command 'there'\n")
    monkeypatch.setattr(sys, "argv", ["tests", "--help"])
    assert run("tests", commands) == 0
    assert "usage: python -m tests COMMAND" in capsys.readouterr().out


@pytest.mark.parametrize(("when", "status", "printed"), [("import", 130, ""), ("main", 130, "caught\n")])
def test_ctrl_c_during_the_imports_ends_a_command_without_a_traceback(
    tmp_path: Path, when: str, status: int, printed: str
):
    interrupt = "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n"
    main = f"    {interrupt.replace(chr(10), '; ')}pass\n" if when == "main" else "    pass\n"
    (tmp_path / "slow.py").write_text(
        f"{interrupt if when == 'import' else ''}def main():\n  try:\n{main}"
        "  except KeyboardInterrupt:\n    print('caught')\n    return 130\n"
    )
    code = (
        "import signal, sys\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from bundle.command_line import run\nsys.argv = ['x', 'slow']\nsys.exit(run('x', {'slow': ('slow', '')}))"
    )
    surroundings = {**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=surroundings, capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert (done.returncode, done.stdout, done.stderr) == (status, printed, "")


def test_types_are_those_of_argparse():
    assert whole_number(0)("0") == 0
    assert real_number(above=False)("0") == 0
    assert file_path("~") == Path.home()
    with pytest.raises(argparse.ArgumentTypeError):
        whole_number(5)("4")


@pytest.mark.parametrize(
    ("arguments", "reports"),
    [
        ([], "reports/training"),
        (["--models", "models/"], "reports/training"),
        (["--models", "models/churn"], "reports/models-churn/training"),
        (["--models", "/srv/churn"], "reports/srv-churn/training"),
        (["--models", "../other"], "reports/other/training"),
        (["--models", "models/churn", "--reports", "mine"], "mine"),
    ],
)
def test_reports_on_another_models_folder_are_kept_apart(arguments: list[str], reports: str):
    parser = Parser("tests show", "Show.")
    parser.add_folders(Path("reports/training"))
    assert parser.read(arguments).reports == Path(reports)
