"""Reports as self-contained HTML pages, in the style of the load tests'."""

from pathlib import Path

from bundle.result import Result, provenance
from load_testing.report import TEMPLATES as LOAD_TEMPLATES
from load_testing.report import html_environment

TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, result: Result, **more: object) -> str:
    """The result as a template of this package shows it."""
    environment = html_environment(TEMPLATES, LOAD_TEMPLATES)
    return environment.get_template(template).render(result=result, facts=provenance(result), **more)
