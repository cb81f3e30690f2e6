"""A command for tests: prints its options as JSON."""

import json
import sys

from bundle.command_line import Parser, file_path, real_number, whole_number

if __name__ == "__main__":
    parser = Parser("tests show", "Show the options.")
    parser.add_argument("--input", default="")
    parser.add_argument("--data-dir", type=file_path)
    parser.add_argument("--trials", type=whole_number(1), default=100, help="how many")
    parser.add_argument("--seed", type=whole_number(0, 9))
    parser.add_argument("--seconds", type=real_number())
    parser.add_argument("--names", nargs="+", default=[])
    parser.add_argument("--fresh", action="store_true", help="forget")
    options = vars(parser.read(None))
    print(json.dumps({"argv": sys.argv[2:], **{name: str(value) for name, value in options.items()}}))
