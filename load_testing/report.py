"""Write a benchmark's result as JSON, as Markdown, and as one self-contained HTML page."""

from collections.abc import Callable
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from bundle.result import provenance, write_result
from bundle.table import byte_size, three_digits, to_html
from load_testing.benchmark_result import Benchmark
from load_testing.benchmark_tables import scenario_title

TEMPLATES = Path(__file__).parent / "templates"


def write_reports(result: Benchmark, folder: Path) -> list[Path]:
    """Write `benchmark.json`, `.md` and `.html` into the folder, replacing earlier ones. Returns their paths."""
    return write_result(result, folder, {"benchmark.html": render(result, "report.html.j2").encode()})


def render(result: Benchmark, template: str) -> str:
    """The result as an HTML template of this package shows it: the whole page, or `benchmark.html.j2`, its body."""
    tables = {table.title: table for table in result.tables()}
    environment = html_environment(TEMPLATES)
    return environment.get_template(template).render(result=result, tables=tables, facts=provenance(result))


def html_environment(*folders: Path) -> Environment:
    """Templates of these folders, with escaping and the filters that show numbers and tables."""
    environment = Environment(
        loader=FileSystemLoader(folders),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    filters: dict[str, Callable[..., str]] = {
        "three_digits": three_digits,
        "size": byte_size,
        "share": share,
        "scenario_title": scenario_title,
        "table": lambda table: Markup(to_html(table)),  # noqa: S704  its texts are escaped
    }
    environment.filters.update(filters)
    return environment


def share(value: float, whole: float) -> str:
    """Percent of the whole, as CSS takes it."""
    return f"{100 * value / whole if whole else 0:.2f}%"
