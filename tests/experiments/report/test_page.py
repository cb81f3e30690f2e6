"""`make report` on made-up result files: what the page shows, what is missing, and what is broken."""

import base64
import re
from html.parser import HTMLParser

import msgspec
import pytest

from bundle.files import encode_result
from bundle.training_record import FrontTrial
from experiments.__main__ import main
from experiments.report.kinds import KINDS
from experiments.report.page import read_entries
from tests.experiments.report.conftest import SVG, benchmark, skew, soak
from training.report.training_report import TrainingReport


def page_of(folder):
    assert main(["report", "--reports", str(folder)]) == 0
    return (folder / "index.html").read_text(encoding="utf-8")


def part(page, key):
    return page.partition(f'<article id="{key}">')[2].partition("</article>")[0]


def cells(page, first):
    """The texts of the table row whose first cell is `first`."""
    row = page.partition(f"<tr><th>{first}<")[2].partition("</tr>")[0]
    return [text for text in re.split(r"<[^>]*>", f"<{row}") if text]


def test_every_kind_has_a_part(reports):
    page = page_of(reports)
    assert re.findall(r'<article id="([^"]+)"', page) == list(KINDS)
    assert "Not measured yet" not in page


def test_the_figures_are_those_of_the_result_files(reports, manifest):
    page = page_of(reports)
    scores = manifest.metrics
    assert cells(part(page, "training"), "f2") == [
        f"{scores.out_of_fold['f2']:.4f}",
        f"{scores.held_out['f2']:.4f}",
    ]
    assert cells(part(page, "benchmark"), "o&lt;n&gt;nx")[:2] == ["7,512", "12.5"]
    assert cells(part(page, "skew"), "o&lt;n&gt;nx")[:4] == ["/predict", "250", "100.000", "100.000"]
    assert cells(part(page, "profile"), "1") == ["201.3", "17.8", "72.2", "6.5", "5.2", "99.6", "84.1"]
    assert cells(part(page, "overload"), "onnx")[:3] == ["2,000", "5,432", "77"]
    assert cells(part(page, "workers"), "single") == ["onnx", "50.0", "62.5", "1.60x", "0"]
    assert cells(part(page, "fairness"), "onnx")[-2:] == ["2.5", "98,765"]
    assert cells(part(page, "images"), "onnx") == ["271", "python:3", "109"]
    assert cells(part(page, "images"), "axum") == ["113", "debian:12", "-"]
    assert cells(part(page, "study"), "forest (trees=9)") == ["123x", "0.50x", " †", "-"]
    assert "4,321" in part(page, "study")
    assert cells(part(page, "session_options"), "slow")[:2] == ["64.5", "162% more time"]
    assert cells(part(page, "tree_costs"), "300")[:5] == ["5", "13,216", "10", "8.5", "22.8"]
    assert cells(part(page, "soak"), "requests answered rightly") == ["6,578"]
    assert cells(part(page, "soak"), "peak, MiB") == ["77"]


@pytest.mark.parametrize(
    ("key", "facts"),
    [
        ("training", ["Abacus 9, 3 CPUs", "locust 2.47.0", "python -m training.train --trials 2"]),
        ("benchmark", ["2030-01-02 03:04 UTC", "Abacus 9, 3 CPUs", "locust 2.47.0", "c0ffee", "bench --users 32"]),
        (
            "study",
            ["2030-01-02 03:04 UTC", "Abacus 8, 2 CPUs", "onnx 1.2.3", "experiments.study.study_command --seed 7"],
        ),
        ("session_options", ["2030-01-02 03:04 UTC", "Abacus 8", "python -m experiments.study.session_options"]),
        ("tree_costs", ["2030-01-02 03:04 UTC", "Abacus 8", "python -m experiments.study.tree_costs"]),
        ("soak", ["2030-01-02 03:04 UTC", "Abacus 9", "python 3.11.7", "python -m experiments.load.soak"]),
    ],
)
def test_a_part_says_what_its_file_records(reports, key, facts):
    found = part(page_of(reports), key)
    assert [fact for fact in facts if fact not in found] == []


class Addresses(HTMLParser):
    """Whatever a browser would fetch or follow."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        assert tag not in {"script", "iframe", "object", "embed"}
        self.found += [value for name, value in attrs if name in {"src", "href", "srcset", "poster", "data"}]


def test_the_page_needs_nothing_else(reports):
    page = page_of(reports)
    parser = Addresses()
    parser.feed(page)
    assert all(address.startswith(("data:", "#")) for address in parser.found)
    styles = page.partition("<style>")[2].partition("</style>")[0]
    assert "url(" not in styles
    assert "@import" not in styles


def test_charts_are_svg_within_the_page(reports):
    page = page_of(reports)
    charts = re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"', page)
    drawn = [base64.b64decode(chart).decode() for chart in charts]
    assert SVG.format("calibration") in drawn
    assert SVG.format("speedup") in drawn
    assert len(drawn) == 1 + 1
    assert page.count("<img") == len(drawn)
    assert 'alt="Speedup"' in page


def test_it_follows_the_screen_and_the_scheme(reports):
    page = page_of(reports)
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in page
    assert "prefers-color-scheme: dark" in page
    assert page.count("<table") == len(re.findall(r'<div class="scroll[^"]*"><table', page))


def test_names_are_escaped(reports):
    assert "o<n>nx" not in page_of(reports)


def test_a_missing_source_is_named_with_its_command(reports, capsys):
    for name in ("soak.json", "study/tree_costs.json", "training/report.json"):
        (reports / name).unlink()
    page = page_of(reports)
    printed = capsys.readouterr().out
    for key, title, command in (
        ("training", "Training", "make train"),
        ("tree_costs", "Tree costs", "make tree-costs"),
        ("soak", "Soak", "make soak"),
    ):
        assert f"{title} (<code>{command}</code>)" in page
        assert f'id="{key}"' not in page
    assert "not measured yet: make train, make tree-costs, make soak\n" in printed


def test_an_empty_folder_is_a_page_of_commands(tmp_path):
    page = page_of(tmp_path)
    assert page.count(" (<code>") == len(KINDS)
    assert "<table>" not in page


def test_the_terminal_gets_the_key_figures(reports, capsys):
    page_of(reports)
    lines = capsys.readouterr().out.splitlines()
    assert "                                   single, requests/s: o<n>nx 7,512" in lines
    assert "skew             2030-01-02 03:04  no skew in 1 comparisons, 250 rows in them" in lines
    assert any("1 row a call, 1 thread: ONNX 123 to 123 times as fast as native, 1 models" in line for line in lines)
    assert any("slow: 162% more time (1 row)" in line for line in lines)
    assert lines[-1] == str(reports / "index.html")
    assert len(lines) <= 20


def test_a_front_of_accuracy_against_latency_is_a_table(reports, manifest):
    one = FrontTrial(
        trial=7, score=0.81, standard_error=0.0031, us_per_row=12.345, us_per_row_of_100=2.5, trees=40, depth=3,
        nodes=5432, graph_bytes=43_210,
    )  # fmt: skip
    other = msgspec.structs.replace(one, trial=8, us_per_row=9.87)
    study = msgspec.structs.replace(manifest.study, front=(one, other), chosen_trial=8, choice="TRIAL=8")
    path = reports / "training/report.json"
    report = msgspec.json.decode(path.read_bytes(), type=TrainingReport)
    chosen = msgspec.structs.replace(report.manifest, study=study)
    path.write_bytes(encode_result(msgspec.structs.replace(report, manifest=chosen)))
    found = part(page_of(reports), "training")
    assert cells(found, "7") == ["0.8100", "0.0031", "12.3", "2.50", "40", "3", "5,432", "43"]
    assert cells(found, "*8")[2] == "9.9"
    assert "trial 8, TRIAL=8" in found


def test_a_default_run_has_no_such_table(reports):
    assert "Pareto front" not in part(page_of(reports), "training")


def test_failures_stand_out(reports, capsys):
    (reports / "benchmark.json").write_bytes(msgspec.json.encode(benchmark(failures={"HTTP 503": 26})))
    (reports / "soak.json").write_bytes(msgspec.json.encode(soak(wrong=4)))
    (reports / "skew.json").write_bytes(msgspec.json.encode(skew(equal=249)))
    page = page_of(reports)
    assert page.count('<td class="left bad">') == 3
    assert "FAILED: 26 requests got no right answer" in capsys.readouterr().out
    assert [entry.name for entry in read_entries(reports) if not entry.result.ok] == [
        "benchmark",
        "skew",
        "soak",
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("benchmark.json", "{"),
        ("benchmark.json", "[]"),
        ("study/study.json", '{"dataset": "m"}'),
        ("study/session_options.json", "\x00"),
        ("study/tree_costs.json", ""),
        ("soak.json", "[]"),
        ("skew.json", "{}"),
        ("images.json", "[]"),
        ("training/report.json", '{"format_version": 99}'),
        ("training/calibration.svg", "<svg>half"),
        ("study/speedup.svg", "PNG"),
    ],
)
def test_a_broken_file_is_named_and_the_page_stays(reports, capsys, name, content):
    (reports / "index.html").write_text("earlier")
    (reports / name).write_text(content)
    assert main(["report", "--reports", str(reports)]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: {reports / name}: ")
    assert error.count("\n") == 1
    assert (reports / "index.html").read_text() == "earlier"


def test_figures_that_lack_a_service_are_an_error(reports, capsys):
    whole = msgspec.to_builtins(benchmark())
    (reports / "benchmark.json").write_bytes(msgspec.json.encode(whole | {"cells": []}))
    assert main(["report", "--reports", str(reports)]) == 1
    assert "not every service has figures" in capsys.readouterr().err


def test_wrong_counts_of_a_soak_are_an_error(reports, capsys):
    text = msgspec.json.encode(soak(wrong=4)).replace(b'{"wrong class":4}', b'{"wrong class":"many"}')
    (reports / "soak.json").write_bytes(text)
    assert main(["report", "--reports", str(reports)]) == 1
    assert f"error: {reports / 'soak.json'}: not a result" in capsys.readouterr().err


def test_a_page_that_cannot_be_written_leaves_nothing(reports, capsys):
    (reports / "index.html").mkdir()
    before = sorted(path.name for path in reports.iterdir())
    assert main(["report", "--reports", str(reports)]) == 1
    assert f"error: {reports / 'index.html'}: " in capsys.readouterr().err
    assert sorted(path.name for path in reports.iterdir()) == before


def test_a_folder_that_is_not_there_is_an_error(tmp_path, capsys):
    assert main(["report", "--reports", str(tmp_path / "none")]) == 1
    assert capsys.readouterr().err.startswith("error: ")
