"""The reports of a made-up result."""

import re
from datetime import UTC, datetime

import msgspec
import pytest

from bundle.machine import Machine
from bundle.result import result_as_markdown
from load_testing.benchmark_result import Benchmark
from load_testing.process_tree import Memory
from load_testing.report import render, share, write_reports
from load_testing.results import LoadCell, LoadProtocol, ServiceFacts, Spread
from load_testing.skew import Mismatch, SkewResult
from load_testing.skew_measurement import SkewRow


def flat(value):
    return Spread(value, value, value)


def cell(service, scenario, rate, cpu, *, failures=(), generator=0.5):
    return LoadCell(
        scenario=scenario,
        service=service,
        requests=1000,
        failures=dict(failures),
        requests_per_second=Spread(rate, 0.9 * rate, 1.1 * rate),
        rows_per_second=flat(rate),
        mean_ms=flat(4.0),
        p50_ms=flat(3.5),
        p95_ms=flat(7.25),
        p99_ms=flat(12.5),
        cpu_ms_per_request=flat(cpu),
        rows_per_cpu_second=flat(1000 / cpu),
        server_utilisation=0.8 if generator > 0.9 else 0.99,
        generator_utilisation=generator,
    )


def skew_row(service, *, wrong=0):
    mismatch = Mismatch(
        row=7,
        case="<missing>",
        expected_label=1,
        served_label=0,
        expected_probability=0.75,
        served_probability=None,
    )
    result = SkewResult(
        rows=200, equal_labels=200 - wrong, equal_probabilities=200, mismatches=(mismatch,) if wrong else ()
    )
    return SkewRow(service=service, route="/predict", result=result, failures={}, seconds=1.5)


def make_result(*, cells, skew):
    facts = [
        ServiceFacts(
            service=name,
            cold_start_seconds=Spread(1.5, 1.25, 2.0),
            memory=Memory(used=150_000_000, peak=200_000_000),
            artifact="m.pkl",
            artifact_bytes=437_000,
        )
        for name in dict.fromkeys(cell.service for cell in cells)
    ]
    return Benchmark(
        model="m",
        version="abc123",
        data_source="synthetic",
        created=datetime(2030, 1, 2, 3, 4, tzinfo=UTC),
        command="python -m load_testing.benchmark",
        machine=Machine(
            processor="Abacus 9",
            cpus=2,
            memory_bytes=16_000_000_000,
            system="Linux 6",
            python="3.11.7",
            libraries={"locust": "2.47.0"},
            commit="c0ffee",
        ),
        protocol=LoadProtocol(
            seconds=5, warm_up=1, rounds=3, users=32, workers=1, server_cpus=(0,), client_cpus=(1,), cold_starts=3
        ),
        services=tuple(facts),
        cells=tuple(cells),
        skew=tuple(skew),
        left_out=("axum: its release binary isn't built",),
    )


@pytest.fixture
def good():
    cells = [
        cell("pickle", "single", 300.0, 3.0),
        cell("onnx", "single", 7500.0, 0.125, generator=0.95),
        cell("pickle", "batch10", 280.0, 3.5),
        cell("onnx", "batch10", 4000.0, 7.0),
    ]
    return make_result(cells=cells, skew=[skew_row("pickle"), skew_row("onnx")])


@pytest.fixture
def bad():
    cells = [cell("onnx", "single", 7500.0, 0.125, failures={"wrong class (<missing>)": 12})]
    return make_result(cells=cells, skew=[skew_row("onnx", wrong=3)])


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
    cells = [cell("axum", "single", 100.0, 2.0), cell("onnx", "single", 50.0, 4.0)]
    _, table, *_ = make_result(cells=cells, skew=[]).tables()
    assert table.heads[2] == "against axum"
    assert [(row[2], row[9]) for row in table.rows] == [("", ""), ("0.500x", "2.00x more")]


def test_run_too_short_to_see_cpu_time_has_no_cpu_ratio():
    cells = [cell("pickle", "single", 100.0, 2.0), msgspec.structs.replace(cell("onnx", "single", 50.0, 1.0))]
    cells[1] = msgspec.structs.replace(cells[1], cpu_ms_per_request=flat(0.0))
    _, table, *_ = make_result(cells=cells, skew=[]).tables()
    assert table.rows[1][9] == ""


def test_figures_are_short():
    assert str(Spread(1.0, 1.0, 1.0)) == "1.00"
    assert str(Spread(2.0, 1.0, 3.0)) == "2.00 (1.00 to 3.00)"
    assert (share(1, 4), share(0, 0)) == ("25.00%", "0.00%")
