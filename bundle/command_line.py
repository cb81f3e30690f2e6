"""Command lines, the same in every package: `python -m PACKAGE COMMAND --option value`, or `make COMMAND OPTION=value`.

Variables given to make reach a command through the environment, exactly as typed: neither make nor a shell interprets a
`$`, a quote or a space in them. The command's parser turns them into its options.
"""

import argparse
import difflib
import math
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Never

GIVEN = "MAKE_VARIABLES"
"""The environment variable in which the Makefile names the variables of its command line."""

MODELS, REPORTS = Path("models"), Path("reports")
"""The default folders."""

_NO = frozenset({"", "0", "no", "false"})


def run(package: str, commands: Mapping[str, tuple[str, str]]) -> int:
    """Run the command that the command line names. `commands` maps each name to its module, which has a `main`, and its
    purpose.

    Returns the exit status; 2 if there is no such command, 130 if Ctrl-C ended it before it began.
    """
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name in commands:
        try:
            module = import_module(commands[name][0])
        except KeyboardInterrupt:  # importing takes seconds, and a traceback of libraries helps nobody
            return 130
        status: int = module.main()
        return status
    if name not in ("", "-h", "--help"):
        print(f"error: python -m {package} has no command {name!r}\n", file=sys.stderr)
    width = max(map(len, commands))
    lines = [f"  {command:{width}}  {purpose}" for command, (_, purpose) in commands.items()]
    lines = [f"usage: python -m {package} COMMAND [OPTION]...", "", *lines, "", "COMMAND --help lists its options."]
    wanted = name in ("-h", "--help")
    print("\n".join(lines), file=sys.stdout if wanted else sys.stderr)
    return 0 if wanted else 2


class _HelpFormatter(argparse.HelpFormatter):
    def _get_help_string(self, action: argparse.Action) -> str | None:
        says_nothing = action.default in (None, "", [], False, argparse.SUPPRESS) or "default" in (action.help or "")
        return action.help if says_nothing else f"{action.help or ''} (default: %(default)s)".lstrip()


class Parser(argparse.ArgumentParser):
    """The options of `python -m COMMAND`, such as "training train". Wrong usage gives one line and exit status 2."""

    def __init__(self, command: str, description: str) -> None:
        super().__init__(
            prog=f"python -m {command}", description=description, formatter_class=_HelpFormatter, allow_abbrev=False
        )
        self._by_make = False
        self._reports: Path | None = None

    def add_folders(self, reports: Path) -> None:
        """Add `--models`, and `--reports` with the default `reports`. Reports on another models folder go to a folder
        of their own, so that two models' reports and studies don't mix.
        """
        self._reports = reports
        self.add_argument("--models", type=file_path, default=MODELS, help="folder of the bundle")
        described = f"where reports go (default: {reports}; {REPORTS}/name-of-MODELS if MODELS is given)"
        self.add_argument("--reports", type=file_path, help=described)

    def read(self, arguments: Sequence[str] | None) -> argparse.Namespace:
        """The options in `arguments`; None means the arguments of the process and the variables given to make."""
        if arguments is None:
            self._by_make = GIVEN in os.environ
            made = self._from_make()
            sys.argv[2:] = arguments = [*sys.argv[2:], *made]  # so that a report quotes what was run
        given = self.parse_args(arguments)
        if self._reports is not None and given.reports is None:
            given.reports = reports_of(given.models, self._reports)
        return given

    def _from_make(self) -> list[str]:
        """The variables as options: `--name value`, `--name` for a flag that is on, nothing for an empty value."""
        arguments: list[str] = []
        for name in os.environ.pop(GIVEN, "").split():
            option, value = f"--{name.lower().replace('_', '-')}", os.environ.get(name, "")
            action = self._option_string_actions.get(option)
            if action is None or name != name.upper():
                self.exit(2, self._unknown_variable(name))
            elif action.nargs == 0:
                arguments += [] if value.lower() in _NO else [option]
            elif action.nargs in ("+", "*"):
                arguments += [option, *value.split()] if value.strip() else []
            elif value:
                arguments += [f"{option}={value}"] if value.startswith("-") else [option, value]
        return arguments

    def _unknown_variable(self, name: str) -> str:
        options = (option for option in self._option_string_actions if option.startswith("--"))
        known = sorted(option[2:].replace("-", "_").upper() for option in options)
        near = difflib.get_close_matches(name.upper(), known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
        return f"error: {name}: {self.prog} has no such option; {hint}\n"

    def error(self, message: str) -> Never:
        """Say what is wrong, naming variables instead of options if make runs the command, and exit with status 2."""
        message, help_option = message.removeprefix("argument "), f"{self.prog} --help"
        if self._by_make:
            message = re.sub(r"--([a-z][a-z-]*)", lambda match: match[1].replace("-", "_").upper(), message)
            help_option = "HELP=1"
        self.exit(2, f"error: {message} ({help_option} lists the options)\n")


def whole_number(least: int, most: int | None = None) -> Callable[[str], int]:
    """The type of an option that takes a whole number in [least, most]."""
    span = "above 0" if least == 1 else f"of at least {least}"
    if most is not None:
        span = f"from {least} to {most}"

    def read(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if number < least or (most is not None and number > most):
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number {span}")
        return number

    return read


def real_number(least: float = 0, most: float = math.inf, *, above: bool = True) -> Callable[[str], float]:
    """The type of an option that takes a finite number above `least`, or, with `above=False`, of at least `least`, and
    of at most `most`.
    """
    span = f"{'above' if above else 'of at least'} {least:g}"
    if most < math.inf:
        span += f" and at most {most:g}"

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or not least <= value <= most or (above and value == least):
            raise argparse.ArgumentTypeError(f"{text!r} is not a number {span}")
        return value

    return read


def file_path(text: str) -> Path:
    """The type of an option that takes a path; `~` is the user's home, which not every shell expands after a `=`."""
    if not text:
        raise argparse.ArgumentTypeError("a path is needed")
    return Path(text).expanduser()


def reports_of(models: Path, default: Path) -> Path:
    """The folder for reports on the bundle in `models`: `default` for the usual folder, and for another a folder under
    `REPORTS` that is named after it, such as reports/models-churn for models/churn.
    """
    if models == MODELS:
        return default
    name = "-".join(part for part in models.parts if part not in (models.anchor, ".", ".."))
    return REPORTS / (name or "models") / default.relative_to(REPORTS)
