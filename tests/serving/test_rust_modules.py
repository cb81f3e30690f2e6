"""The modules of the Rust service use each other in one direction only."""

import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

SOURCES = Path(__file__).resolve().parents[2] / "serving/axum/src"
COMMENT = re.compile(r"^\s*//.*$", re.MULTILINE)
USED = re.compile(r"\bcrate::(\{?\w+)")


def uses(source: str) -> set[str]:
    """The modules of the crate that the source names outside comments."""
    return set(USED.findall(COMMENT.sub("", source)))


def test_no_module_uses_itself_by_way_of_others():
    graph = {path.stem: uses(path.read_text(encoding="utf-8")) for path in SOURCES.glob("*.rs")}
    assert set().union(*graph.values()) <= graph.keys()  # one module to a `use`, so that none is overlooked
    assert "request_schema" in graph["endpoints"] | graph["state"]
    TopologicalSorter(graph).prepare()


def test_a_circle_would_be_found():
    graph = {"a": uses("use crate::b::{B, C};\n"), "b": uses("    // crate::x\n    let a = crate::a::f();\n")}
    assert graph == {"a": {"b"}, "b": {"a"}}
    with pytest.raises(CycleError):
        TopologicalSorter(graph).prepare()
