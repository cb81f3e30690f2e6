"""The options that say how text files are written."""

import argparse

from training.data.table_files import CsvOptions

MEANINGS = ("missing", "text")


def add_csv_options(parser: argparse._ActionsContainer) -> None:
    """`--separator` and `--empty`."""
    parser.add_argument(
        "--separator", type=separator, default="", help="between fields in text files (default: a comma, in .tsv a tab)"
    )
    parser.add_argument(
        "--empty", choices=MEANINGS, default=MEANINGS[0], help='what "" means in text files; no quotes means missing'
    )


def read_csv_options(separator: str, empty: str) -> CsvOptions:
    """The values of the options that `add_csv_options` adds."""
    return CsvOptions(separator, empty == MEANINGS[1])


def separator(text: str) -> str:
    r"""The type of an option for one ASCII character, "" for the default; a tab may be written as \t or as the word.

    Raises:
        ArgumentTypeError: it is any other text, or a character with a meaning of its own in CSV.
    """
    character = {"\\t": "\t", "tab": "\t"}.get(text.lower(), text)
    if len(character) > 1 or not character.isascii() or character in (*'"\r\n\0',):
        raise argparse.ArgumentTypeError(f"{text!r} is not one character of ASCII, such as ';' or '\\t'")
    return character
