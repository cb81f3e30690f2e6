"""The training report: pictures of one run as SVG files, its figures in `report.md` and `report.json`."""

import warnings
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

from bundle.files import encode_result, write_files
from bundle.machine import command_line, describe_machine
from bundle.manifest import Manifest
from bundle.result import result_as_markdown
from training.manifest import LIBRARIES
from training.report.pictures import ALL, Evidence, pictures_for
from training.report.training_report import TrainedModel, TrainingReport


def write_report(manifest: Manifest, evidence: Evidence, folder: Path) -> None:
    """Draw every picture and write `report.md`, and `report.json`, replacing an earlier report."""
    folder.mkdir(parents=True, exist_ok=True)
    machine = describe_machine((*LIBRARIES, "xgboost-cpu", "xgboost"))
    trained = TrainedModel.of(manifest)
    report = TrainingReport(created=manifest.created, command=command_line(), machine=machine, manifest=trained)
    pictures = pictures_for(manifest, evidence)
    for name in ALL - pictures.keys():
        (folder / f"{name}.svg").unlink(missing_ok=True)
    # text stays text, drawn with the reader's fonts: names of columns and classes may be in any script
    with rc_context({"svg.fonttype": "none"}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph .* missing", UserWarning)
        for name, (title, draw) in pictures.items():
            figure = Figure(figsize=(7.2, 4.4), layout="constrained")
            axes = figure.subplots()
            axes.spines[["top", "right"]].set_visible(False)
            axes.set_title(title, loc="left", fontweight="bold")
            draw(axes, manifest, evidence)
            figure.savefig(folder / f"{name}.svg")
    shown = {title: f"{name}.svg" for name, (title, _) in pictures.items()}
    text = result_as_markdown(report, shown).encode()
    write_files(folder, {"report.md": text, "report.json": encode_result(report)})
