"""The training report: pictures of one run as PNG and SVG files, its figures in `report.md` and `report.json`."""

import sys
import warnings
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

from bundle.files import encode_result, write_files
from bundle.machine import command_line, describe_machine
from bundle.manifest import Manifest
from bundle.table import to_markdown
from training.manifest import LIBRARIES
from training.report.fonts import fonts_for, texts_of
from training.report.pictures import ALL, Evidence, pictures_for
from training.report.training_report import TrainedModel, TrainingReport

KINDS = ("png", "svg")


def write_report(manifest: Manifest, evidence: Evidence, folder: Path) -> None:
    """Draw every picture and write `report.md`, and `report.json`, replacing an earlier report."""
    folder.mkdir(parents=True, exist_ok=True)
    machine = describe_machine((*LIBRARIES, "xgboost-cpu", "xgboost"))
    trained = TrainedModel.of(manifest)
    report = TrainingReport(created=manifest.created, command=command_line(), machine=machine, manifest=trained)
    lines = [f"# {manifest.name} {manifest.version}", "", *_facts(manifest, evidence), ""]
    lines += [f"{to_markdown(table)}\n" for table in report.tables()]
    pictures = pictures_for(manifest, evidence)
    for name in ALL - pictures.keys():
        for kind in KINDS:
            (folder / f"{name}.{kind}").unlink(missing_ok=True)
    families, missing = fonts_for(texts_of(manifest))
    if missing:
        print(
            f"warning: no font is installed for {' '.join(sorted(missing))}: PNG pictures have boxes in their place, "
            "SVG pictures leave them to the browser's fonts",
            file=sys.stderr,
        )
    fonts = {"font.family": families, "svg.fonttype": "none" if missing else "path"}
    with rc_context(fonts), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph .* missing", UserWarning)
        for name, (title, draw) in pictures.items():
            figure = Figure(figsize=(7.2, 4.4), layout="constrained")
            axes = figure.subplots()
            axes.spines[["top", "right"]].set_visible(False)
            axes.set_title(title, loc="left", fontweight="bold")
            draw(axes, manifest, evidence)
            for kind in KINDS:
                figure.savefig(folder / f"{name}.{kind}", dpi=120)
            lines += [f"## {title}", "", f"![{title}]({name}.png)", ""]
    write_files(folder, {"report.md": "\n".join(lines).encode(), "report.json": encode_result(report)})


def _facts(manifest: Manifest, evidence: Evidence) -> list[str]:
    record = manifest.record
    data, study, metrics = record.data, record.study, record.metrics
    threshold = ""
    if manifest.decision_threshold is not None:
        threshold = f" Decision threshold {manifest.decision_threshold:.6f}, chosen on rows unseen by their model."
    score = evidence.score
    return [
        f"Trained {manifest.created:%Y-%m-%d %H:%M} UTC on {data.training_rows:,} of {data.rows:,} rows "
        f"(source: **{data.source}**), scored once on {data.held_out_rows:,} held-out rows.",
        f"Study: {study.completed} trials complete, {study.pruned} pruned, {study.folds} folds, seed {study.seed}."
        f"{threshold}",
        f"{score.label} on the held-out rows is {metrics.held_out[score.name]:.4f} ± {metrics.standard_error:.4f}; a "
        f"model that looks at no feature has {metrics.trivial:.4f}.",
    ]
