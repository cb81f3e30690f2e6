"""`make readme-tables`: write the figures of the committed results into README.md and docs/.

    python -m experiments readme-tables            # writes
    python -m experiments readme-tables --check    # compares only, and shows what differs

Exit status: 0 written, or as it must be; 1 the documents differ, or an error.
"""

import difflib
import sys
from pathlib import Path

from bundle.command_line import Parser, file_path
from bundle.files import write_files
from experiments.report.content import content_of
from experiments.report.errors import ClaimError
from experiments.report.markers import Content, rewrite
from experiments.report.recorded_results import FOLDER, read_results

DOCUMENTS = (Path("README.md"), Path("docs/study.md"), Path("docs/performance.md"), Path("docs/scaling.md"))


def rewritten(root: Path, content: Content) -> dict[Path, tuple[str, str]]:
    """{document: (as it is, as it must be)}.

    Raises:
        ClaimError: a document can't be read, or a marker in it is not as it must be.
    """
    found = {}
    for document in DOCUMENTS:
        try:
            text = (root / document).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ClaimError(f"{root / document}: {error}") from error
        found[document] = text, rewrite(text, content, str(document))
    return found


def difference(document: Path, old: str, new: str) -> str:
    """The first line that differs, and a diff."""
    before, after = old.splitlines(), new.splitlines()
    pairs = enumerate(zip(before, after, strict=False), start=1)
    first = next((number for number, (one, other) in pairs if one != other), min(len(before), len(after)) + 1)
    diff = difflib.unified_diff(before, after, str(document), f"{document} by {FOLDER}", n=0, lineterm="")
    return "\n".join([f"{document}:{first}: differs from the results in {FOLDER}", *diff])


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0 written, or as it must be; 1 the documents differ, or an error."""
    parser = Parser("experiments readme-tables", __doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a document differs")
    parser.add_argument("--list", action="store_true", help="write nothing; list all that a marker may name")
    parser.add_argument("--root", type=file_path, default=Path(), help="folder of README.md and docs/")
    given = parser.read(arguments)
    try:
        content = content_of(read_results(given.root / FOLDER))
        if given.list:
            print(*(f"{name:48} {figure.text}" for name, figure in content.figures.items()), sep="\n")
            print(*(f"block {name}" for name in content.blocks), sep="\n")
            return 0
        changed = {path: texts for path, texts in rewritten(given.root, content).items() if texts[0] != texts[1]}
        if given.check:
            print(*(difference(path, *texts) for path, texts in changed.items()), sep="\n", end="", file=sys.stderr)
            if changed:
                print("\n`make readme-tables` writes them anew", file=sys.stderr)
                return 1
            print(f"{len(DOCUMENTS)} documents agree with {FOLDER}")
            return 0
        for path, (_, new) in changed.items():
            write_files((given.root / path).parent, {path.name: new.encode()})
            print(path)
    except (ClaimError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0
