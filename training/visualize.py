"""`make visualize`: the ONNX graph of a bundle in the browser, by Netron."""

import logging
import sys
import webbrowser
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import netron

from bundle.command_line import MODELS, Parser, file_path, whole_number
from bundle.errors import BundleError
from bundle.manifest import Manifest, read_manifest

HOST = "127.0.0.1"


def graph_file(models: Path, manifest: Manifest) -> Path:
    """The graph with an input for each feature; the packed one if the bundle has no other.

    Raises:
        BundleError: the bundle has neither.
    """
    for kind in ("onnx", "onnx_packed"):
        if kind in manifest.artifacts:
            return models / manifest.artifacts[kind].file
    raise BundleError(f"{models}: the bundle has no ONNX graph")


def main(arguments: Sequence[str] | None = None) -> int:
    """Show the graph until Ctrl-C. Exit status: 0 it was shown, 1 it can't be."""
    parser = Parser("training visualize", __doc__)
    parser.add_argument("--models", type=file_path, default=MODELS, help="folder of the bundle")
    parser.add_argument("--port", type=whole_number(1, 65535), default=8081, help="port to listen on")
    given = parser.read(arguments)
    logging.getLogger().addHandler(logging.NullHandler())  # Netron's own lines say less
    try:
        file = graph_file(given.models, read_manifest(given.models))
        netron.start(str(file), address=(HOST, given.port), browse=False)
    except (BundleError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    address = f"http://{HOST}:{given.port}"
    print(f"{file} is shown at {address} until you press Ctrl-C", flush=True)
    if sys.stdout.isatty():
        with suppress(webbrowser.Error):
            webbrowser.open(address)
    netron.wait()
    return 0
