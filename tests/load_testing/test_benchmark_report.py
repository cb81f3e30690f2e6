"""The reports of a made-up result."""

import re

import msgspec
import pytest

from bundle.result import result_as_markdown
from load_testing.benchmark_result import Benchmark
from load_testing.report import render, share, write_reports
from load_testing.results import Spread
from tests.load_testing.made_up_benchmark import flat, make_cell, make_result, make_skew_row


@pytest.fixture
def good():
    cells = [
        make_cell("pickle", "single", 300.0, 3.0),
        make_cell("onnx", "single", 7500.0, 0.125, generator=0.95),
        make_cell("pickle", "batch10", 280.0, 3.5),
        make_cell("onnx", "batch10", 4000.0, 7.0),
    ]
    return make_result(cells=cells, skew=[make_skew_row("pickle"), make_skew_row("onnx")])


@pytest.fixture
def bad():
    cells = [make_cell("onnx", "single", 7500.0, 0.125, failures={"wrong class (<missing>)": 12})]
    return make_result(cells=cells, skew=[make_skew_row("onnx", wrong=3)])


def test_json_report_is_the_result(good, tmp_path):
    paths = write_reports(good, tmp_path / "reports")
    assert [path.name for path in paths] == ["benchmark.json", "benchmark.md", "benchmark.html"]
    assert msgspec.json.decode(paths[0].read_bytes(), type=Benchmark) == good


def test_markdown_has_the_figures_and_their_ratios(good):
    text = result_as_markdown(good)
    assert "FAILED" not in text
    assert (
        "| onnx | 7,500 (6,750 to 8,250) † | 25.0x | 7,500 | 4.00 | 3.50 | 7.25 | 12.5 | 0.125 | 24.0x less |" in text
    )
    assert "| pickle | 300 (270 to 330) | | 300 |" in text
    assert "| 7.00 | 2.00x more |" in text
    assert "| pickle | 1.50 (1.25 to 2.00) | 150.0 MB | 200.0 MB | m.pkl | 437.0 KB |" in text
    assert "| onnx | /predict | 200 | 100.000 | 100.000 | 0.0e+00 | 0.0e+00 | 1.5 | 0 |" in text
    assert "- machine: Abacus 9, 2 CPUs, 16 GB, Linux 6" in text
    assert "- commit: c0ffee" in text


def test_services_stand_side_by_side_in_the_order_of_the_story(good):
    text = result_as_markdown(good)
    assert "| | one row: requests/s | p99 ms | CPU µs/request |" in text
    assert "| **pickle service** | 300 | 12.5 | 3,000 |\n| **ONNX service** | 7,500 † | 12.5 | 125 |\n" in text


def test_every_table_line_of_the_markdown_has_the_width_of_its_head(good):
    for table in re.findall(r"(?:^\|.*\n)+", result_as_markdown(good), re.MULTILINE):
        assert len({line.count("|") for line in table.splitlines()}) == 1


@pytest.mark.parametrize("shown", [result_as_markdown, lambda result: render(result, "report.html.j2")])
def test_notes_say_what_the_figures_cannot(good, shown):
    text = shown(good)
    assert "loopback" in text
    assert "† The load generator was the bottleneck: the service could do more." in text
    assert "trained on synthetic rows" in text
    assert "Not measured: axum" in text


@pytest.mark.parametrize("shown", [result_as_markdown, lambda result: render(result, "report.html.j2")])
def test_failures_and_skew_cannot_be_overlooked(bad, shown):
    text = shown(bad)
    assert "Every answer was right" not in text
    assert "FAILED" in text or "Failed: 12 failed requests" in text
    assert "12 failed: wrong class" in text
    assert "row 7" in text
    assert "98.500" in text


def test_html_loads_nothing_and_escapes_what_it_shows(good, bad):
    for result in (good, bad):
        page = render(result, "report.html.j2")
        assert not re.search(r"https?://|<script|<link|<img|@import|url\(|src=", page)
    assert "(&lt;missing&gt;)" in page
    assert "<missing>" not in page


def test_html_bars_are_shares_of_the_largest_value(good):
    page = render(good, "report.html.j2")
    assert '<i class="tone0" style="width:4.00%"></i>' in page  # 300 of 7,500 requests/s
    assert '<i class="tone1" style="width:100.00%"></i>' in page


def test_other_services_are_compared_with_the_first_where_there_is_no_pickle_service():
    cells = [make_cell("axum", "single", 100.0, 2.0), make_cell("onnx", "single", 50.0, 4.0)]
    _, table, *_ = make_result(cells=cells, skew=[]).tables()
    assert table.heads[2] == "against axum"
    assert [(row[2], row[9]) for row in table.rows] == [("", ""), ("0.500x", "2.00x more")]


def test_run_too_short_to_see_cpu_time_has_no_cpu_ratio():
    cells = [make_cell("pickle", "single", 100.0, 2.0), msgspec.structs.replace(make_cell("onnx", "single", 50.0, 1.0))]
    cells[1] = msgspec.structs.replace(cells[1], cpu_ms_per_request=flat(0.0))
    _, table, *_ = make_result(cells=cells, skew=[]).tables()
    assert table.rows[1][9] == ""


def test_figures_are_short():
    assert str(Spread(1.0, 1.0, 1.0)) == "1.00"
    assert str(Spread(2.0, 1.0, 3.0)) == "2.00 (1.00 to 3.00)"
    assert (share(1, 4), share(0, 0)) == ("25.00%", "0.00%")
