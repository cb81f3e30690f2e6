"""A recorded command as its make target, which is what a reader calls."""

import shlex

TARGETS = {"image-sizes": "images"}
"""Where the command's name is not the target's."""

FORMER = {
    "training.train": "train",
    "load_testing.benchmark": "bench",
    "load_testing.skew_command": "skew",
    "experiments.load.second_worker": "workers",
    "experiments.load.fairness": "fairness",
    "experiments.load.profile_command": "profile",
    "experiments.load.image_sizes": "images",
    "experiments.study.study_command": "study",
    "experiments.study.session_options": "session-options",
    "experiments.study.tree_costs": "tree-costs",
}
"""What the results that are recorded by now were called with, and the options that make gave every time."""

FORMER_DEFAULTS = {"DATASET": "training.adult", "SEED": "42", "USERS": "32", "ROUNDS": "3", "DURATION": "5"}

PLACES = frozenset({"--data-dir", "--models", "--reports", "--storage"})
"""Options that say where files are: nobody else's are there, and the figures don't depend on it."""


def without_places(command: str) -> str:
    """The command without the paths of the machine that it ran on."""
    kept = [words for words in _options(command) if words[0].partition("=")[0] not in PLACES]
    return shlex.join(word for words in kept for word in words)


def as_make(command: str) -> str:
    """The make target with its variables, in alphabetical order.

    A command that no target makes is returned as it is.
    """
    head, *options = _options(without_places(command))
    if head[1:2] != ["-m"] or len(head) < 3:
        return command
    former = head[2] in FORMER
    target, defaults = (FORMER[head[2]], FORMER_DEFAULTS) if former else (head[3], {})
    variables = []
    for flag, *values in options:
        name, value = flag.removeprefix("--").replace("-", "_").upper(), " ".join(values) or "1"
        if _normal(value) != _normal(defaults.get(name, "")):
            variables.append(f"{name}={_plain(value)}")
    return " ".join(["make", TARGETS.get(target, target), *sorted(variables)])


def _options(command: str) -> list[list[str]]:
    """The words of a command: what comes before its options, then each option with its values."""
    groups: list[list[str]] = [[]]
    for word in shlex.split(command):
        if word.startswith("--"):
            groups.append([])
        groups[-1].append(word)
    return groups


def _normal(value: str) -> str:
    """One spelling of a number: 3 for 3.0."""
    try:
        return f"{float(value):g}"
    except ValueError:
        return value


def _plain(value: str) -> str:
    return f'"{value}"' if " " in value else value
