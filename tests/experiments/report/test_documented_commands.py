"""What the documents tell a reader to type, set or open exists: commands with their options, settings, files, links."""

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
HISTORY = {"log.md"}
"""What was true on the day that it was written."""

DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    *sorted(path for path in (ROOT / "docs").glob("*.md") if path.name not in HISTORY),
]
TEXTS = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in DOCUMENTS}
EVERYTHING = "\n".join(TEXTS.values())

BLOCK = re.compile(r"^(?:\$ | {4})((?:make|python -m|\.venv/bin/python -m) .*)$", re.MULTILINE)
INLINE = re.compile(r"`((?:make|python -m) [^`]+)`")
COMMANDS = [re.split(r"  | #", command)[0] for pattern in (BLOCK, INLINE) for command in pattern.findall(EVERYTHING)]

VARIABLE = re.compile(r"""\b([A-Z_]+)=("[^"]*"|[^\s\]]*)""")
OPTION = re.compile(r"(?<= )--[a-z][a-z-]*")
READERS_OWN = {"DATASET": "training.adult", "SHARD": "1/8"}
"""In place of values that name a file of the reader's, or a variable of theirs."""


def made() -> list[tuple[str, tuple[str, ...]]]:
    """Targets of make, with the variables that they are given."""
    found = set()
    for command in COMMANDS:
        if not command.startswith("make "):
            continue
        given = [(name, READERS_OWN.get(name, value.strip('"'))) for name, value in VARIABLE.findall(command)]
        variables = tuple(sorted({f"{name}={value}" for name, value in given}))
        plain = VARIABLE.sub("", command.removeprefix("make "))
        found |= {(target, variables) for target in re.findall(r"[a-z-]+", plain)}
    return sorted(found)


def help_of(package: str, command: str, variables: str, monkeypatch, capsys) -> str:
    """What a command prints as its help after it has read the variables, which are in the environment."""
    main = importlib.import_module(f"{package}.__main__")
    module = importlib.import_module(main.COMMANDS[command][0])
    monkeypatch.setattr(sys, "argv", [package, command])
    monkeypatch.setenv("MAKE_VARIABLES", f"{variables} HELP")
    monkeypatch.setenv("HELP", "1")
    with pytest.raises(SystemExit) as ended:
        getattr(module, "main", getattr(main, "main", None))()
    told = capsys.readouterr()
    assert ended.value.code == 0, told.err
    return told.out


def test_the_documents_name_commands():
    targets = {target for target, _ in made()}
    assert targets > {"train", "serve-onnx", "serve-pickle", "serve-axum", "bench", "skew", "package", "score", "soak"}


@pytest.mark.parametrize(("target", "variables"), made(), ids=lambda part: part if isinstance(part, str) else "")
def test_every_target_of_make_is_there_and_takes_what_it_is_given(target, variables, monkeypatch, capsys):
    outer = {"MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MAKE_VARIABLES"}  # of a `make test`
    surroundings = {name: value for name, value in os.environ.items() if name not in outer}
    command = ["make", "--dry-run", target, *variables]
    done = subprocess.run(command, cwd=ROOT, env=surroundings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for variable in variables:
        monkeypatch.setenv(*variable.split("=", 1))
    for given, package, name in re.findall(r"MAKE_VARIABLES='(.*?)'.* -m (\w+) ([a-z-]+)", done.stdout):
        help_of(package, name, given, monkeypatch, capsys)


@pytest.mark.parametrize("command", sorted({command for command in COMMANDS if "python -m" in command}))
def test_every_command_of_python_is_there_and_has_its_options(command, monkeypatch, capsys):
    package, name = re.search(r"python -m ([\w.]+) ?([a-z-]*)", command).groups()
    if not (ROOT / package / "__main__.py").exists():  # one of Python's own, or a program without commands
        assert importlib.util.find_spec(package) is not None
        return
    told = help_of(package, name, "", monkeypatch, capsys)
    for option in OPTION.findall(command):
        assert re.search(rf"{option}\b", told), option


def test_every_setting_is_one_of_a_service():
    code = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "serving").rglob("*.py"))
    rust = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "serving/axum/src").rglob("*.rs"))
    for name in sorted(set(re.findall(r"SERVE_[A-Z0-9_]*[A-Z0-9]", EVERYTHING))):
        field = name.removeprefix("SERVE_").lower()
        assert re.search(rf"\b{field}\b", code) or name in rust, name


def test_every_file_that_is_named_is_there():
    """Names that begin with a folder of the repository; those below models/ and reports/ are made.
    Training/serving skew is none.
    """
    folders = {path.name for path in ROOT.iterdir() if path.is_dir()} - {"models", "reports", "data"}
    missing = [
        (document, name)
        for document, text in TEXTS.items()
        for name in re.findall(r"(?<![\w/.:-])((?:[\w.-]+/)+[\w.*-]*[\w*/])", text)
        if name.split("/")[0] in folders and name != "training/serving" and not list(ROOT.glob(name.rstrip("/")))
    ]
    assert missing == []


def anchors(text: str) -> set[str]:
    """The names that GitHub gives the headings."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_link_leads_somewhere():
    broken = []
    for path in [*DOCUMENTS, ROOT / "docs/log.md", ROOT / "CHANGELOG.md"]:
        text = path.read_text(encoding="utf-8")
        for link in re.findall(r"\]\(([^)\s]+)\)", text):
            if link.startswith(("http:", "https:", "mailto:")):
                continue
            file, _, section = link.partition("#")
            target = (path.parent / file) if file else path
            if not target.exists() or (section and section not in anchors(target.read_text(encoding="utf-8"))):
                broken.append((path.name, link))
    assert broken == []
