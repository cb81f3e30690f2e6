"""The page and its short version: every source in order, whether it's there or not."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from experiments.report.command_sections import fairness_section, images_section, skew_section, workers_section
from experiments.report.load_sections import benchmark_section, soak_section
from experiments.report.section import Section, Source
from experiments.report.session_section import session_section
from experiments.report.study_section import study_section
from experiments.report.training_section import training_section
from experiments.report.tree_cost_section import tree_cost_section
from load_testing.report import TEMPLATES as LOAD_TEMPLATES

TEMPLATES = Path(__file__).parent / "templates"
SOURCES = (
    Source("training", "Training", "make train", "training/report.json", training_section),
    Source("benchmark", "Benchmark", "make bench", "benchmark.json", benchmark_section),
    Source("skew", "Serving skew", "make skew", "skew.json", skew_section),
    Source("workers", "A second worker", "make workers", "workers.json", workers_section),
    Source("fairness", "Large batches beside small requests", "make fairness", "fairness.json", fairness_section),
    Source("study", "When ONNX is worth it", "make study", "study/study.json", study_section),
    Source("session-options", "Session options", "make session-options", "study/session_options.json", session_section),
    Source("tree-costs", "Tree costs", "make tree-costs", "study/tree_costs.json", tree_cost_section),
    Source("images", "Images", "make images", "images.json", images_section),
    Source("soak", "Soak", "make soak", "soak.json", soak_section),
)


@dataclass(frozen=True)
class Entry:
    """A source and its section, or None where its result file is missing."""

    source: Source
    section: Section | None


def read_entries(folder: Path) -> list[Entry]:
    """Every source, in the order of the page.

    Raises:
        ReportError: a result file is there, but broken or of another format.
    """
    return [Entry(source, source.read(folder) if (folder / source.file).exists() else None) for source in SOURCES]


def render_page(entries: Sequence[Entry]) -> str:
    """The page as HTML that needs nothing else."""
    environment = Environment(
        loader=FileSystemLoader([TEMPLATES, LOAD_TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("page.html.j2").render(entries=entries)


def summary_lines(entries: Sequence[Entry]) -> list[str]:
    """The key figures for a terminal, a line or two per source."""
    width = max(len(entry.source.key) for entry in entries)
    lines = []
    for source, section in ((entry.source, entry.section) for entry in entries):
        if section is None:
            lines.append(f"{source.key:{width}}  {'missing':16}  {source.command} makes it")
            continue
        first, *others = section.key_figures or ("no figures",)
        lines.append(f"{source.key:{width}}  {section.created:%Y-%m-%d %H:%M}  {first}")
        lines += [f"{'':{width}}  {'':16}  {line}" for line in others]
    return lines
