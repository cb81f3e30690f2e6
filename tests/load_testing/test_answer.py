"""What a benchmark says to "Is ONNX worth it?": the words follow from the figures."""

import msgspec
import pytest

from bundle.result import result_as_markdown
from load_testing.process_tree import Memory
from load_testing.report import render
from load_testing.results import Spread
from tests.load_testing.made_up_benchmark import make_cell, make_result, make_skew_row


def figures(onnx, pickle, *, batch=(100.0, 50.0), generator=0.5):
    """Requests/s of the two for one row, and for batches of 100; CPU in proportion."""
    return [
        make_cell("pickle", "single", pickle, 1000 / pickle),
        make_cell("onnx", "single", onnx, 1000 / onnx, generator=generator),
        make_cell("pickle", "batch100", batch[1], 1000 / batch[1]),
        make_cell("onnx", "batch100", batch[0], 1000 / batch[0]),
    ]


def answer_to(cells, **others):
    return make_result(cells=cells, skew=[make_skew_row("pickle"), make_skew_row("onnx")], **others).answer()


def test_onnx_that_is_faster_everywhere_is_worth_it():
    question, verdict, (told, limits) = answer_to(figures(6000.0, 150.0))
    assert (question, verdict) == ("Is ONNX worth it for m?", "Yes.")
    assert "With one row, the ONNX service answers 6,000 requests/s, the pickle service 150: 40 times as many." in told
    assert (
        "With batches of 100, the ONNX service answers 100 requests/s, the pickle service 50: 2.0 times as many."
        in (told)
    )
    assert "All 400 compared answers agree with the reference" in told
    assert limits.startswith("The gain shrinks with the batch: 40 times for one row, 2.0 times for batches of 100.")
    assert "nothing of batches above 100 rows" in limits


@pytest.mark.parametrize(("rounds", "said"), [(1, True), (3, False)])
def test_a_single_round_is_not_passed_off_as_certain(rounds, said):
    result = make_result(cells=figures(6000.0, 150.0), skew=[])
    result = msgspec.structs.replace(result, protocol=msgspec.structs.replace(result.protocol, rounds=rounds))
    limits = result.answer().paragraphs[-1]
    assert ("One round doesn't show how far such figures vary: give ROUNDS=3" in limits) == said


@pytest.mark.parametrize(("generator", "said"), [(0.5, True), (0.95, False)])
def test_figures_of_services_that_were_not_at_their_limit_are_doubted(generator, said):
    cells = [
        msgspec.structs.replace(cell, server_utilisation=0.5, generator_utilisation=generator)
        for cell in figures(6000.0, 150.0)
    ]
    limits = answer_to(cells).paragraphs[-1]
    told = "With one row and with batches of 100, neither a service nor the load generator was at its limit"
    assert (told in limits) == said


def test_pickle_that_is_faster_in_batches_is_said_first():
    _, verdict, (told, limits) = answer_to(figures(6000.0, 150.0, batch=(50.0, 150.0)))
    assert verdict == "For one row, yes; for batches of 100, no, pickle is faster."
    assert "the pickle service 150: pickle answers 3.0 times as many." in told
    assert limits.startswith("Where it isn't worth it: with batches of 100, as far as speed goes.")


def test_pickle_that_is_faster_everywhere_wins():
    _, verdict, (_, limits) = answer_to(figures(100.0, 150.0, batch=(50.0, 150.0)))
    assert verdict == "No, pickle is faster."
    assert "with one row and with batches of 100" in limits


@pytest.mark.parametrize("onnx", [100.0, 105.0, 115.0, 90.0])
def test_services_whose_rounds_overlap_are_equal(onnx):
    """Rounds are 10 % around the median: 115 and 100 overlap."""
    _, verdict, (told, _) = answer_to(figures(onnx, 100.0, batch=(100.0, 100.0)))
    assert verdict == "For speed, it makes no clear difference."
    assert f"the ONNX service answers {onnx:.0f} requests/s, the pickle service 100: no clear difference." in told


def test_a_single_round_needs_ten_percent():
    cells = [
        msgspec.structs.replace(cell, requests_per_second=Spread(rate, rate, rate))
        for cell, rate in zip(figures(1.0, 1.0), (100.0, 109.0, 100.0, 111.0), strict=True)
    ]
    assert answer_to(cells).verdict == "For one row, no clear difference; for batches of 100, yes."


def test_cpu_time_decides_where_the_load_generator_was_the_limit():
    _, _, (told, _) = answer_to(figures(6000.0, 150.0, generator=0.95))
    assert (
        "With one row, the ONNX service takes 0.167 ms of CPU time per request, the pickle service 6.67 ms: 40" in told
    )
    assert "40 times less." in told


def test_wrong_answers_come_before_any_speed():
    cells = figures(6000.0, 150.0)
    cells[1] = msgspec.structs.replace(cells[1], failures={"wrong class": 12})
    skew = [make_skew_row("pickle"), make_skew_row("onnx", wrong=3)]
    _, verdict, (told, _) = make_result(cells=cells, skew=skew).answer()
    assert verdict == (
        "Not as it is: the ONNX service got 12 requests under load and 3 of 200 compared rows wrong. "
        "Find out why first."
    )
    assert "agree with the reference" not in told


def test_faults_of_a_service_that_is_not_compared_are_no_fault_of_onnx():
    cells = [*figures(6000.0, 150.0), *(make_cell("axum", name, 9000.0, 0.1) for name in ("single", "batch100"))]
    skew = [make_skew_row("pickle"), make_skew_row("onnx"), make_skew_row("axum", wrong=3)]
    assert make_result(cells=cells, skew=skew).answer().verdict == "Yes."


@pytest.mark.parametrize(("generator", "least"), [(0.5, ""), (0.95, "at least ")])
def test_the_rust_service_is_named_beside_them(generator, least):
    rust = [make_cell("axum", name, 9000.0, 0.1, generator=generator) for name in ("single", "batch100")]
    _, _, (told, _) = answer_to([*figures(6000.0, 150.0), *rust])
    assert f"From Rust, the same graph answers {least}9,000." in told


@pytest.mark.parametrize(
    ("service", "missing", "there"),
    [("onnx", "pickle", "ONNX"), ("axum", "pickle", "ONNX"), ("pickle", "ONNX", "pickle")],
)
def test_a_service_alone_answers_nothing(service, missing, there):
    result = make_result(cells=[make_cell(service, "single", 100.0, 10.0)], skew=[], left_out=("x: the reason",))
    assert result.answer()[1:] == (
        f"This run can't say: it measured no service with {missing} beside {there}. Not measured: x: the reason.",
        (),
    )


def test_rust_stands_for_onnx_and_the_usual_service_for_pickle_where_they_are_the_only_ones():
    cells = [make_cell("tutorial-pickle", "single", 100.0, 10.0), make_cell("axum", "single", 900.0, 1.1)]
    _, verdict, (told, limits) = make_result(cells=cells, skew=[]).answer()
    assert verdict == "Yes."
    assert "the Rust service answers 900 requests/s, the usual pickle service 100: 9.0 times as many." in told
    assert "No answers were compared" in told
    assert "batches above 1 row," in limits


def test_a_mixed_load_alone_is_answered_too():
    cells = [make_cell("pickle", "mixed", 100.0, 10.0), make_cell("onnx", "mixed", 300.0, 3.3)]
    told = " ".join(make_result(cells=cells, skew=[]).answer().paragraphs)
    assert "With the mixed load, the ONNX service answers 300 requests/s" in told


def test_memory_and_artifact_are_those_of_the_two():
    result = make_result(cells=figures(6000.0, 150.0), skew=[])
    onnx = msgspec.structs.replace(result.services[1], memory=Memory(used=60_000_000, peak=0), artifact_bytes=300_000)
    told = msgspec.structs.replace(result, services=(result.services[0], onnx)).answer().paragraphs[0]
    assert "It holds 60.0 MB of memory after the load against 150.0 MB" in told
    assert "its artifact has 300.0 KB against 437.0 KB" in told


def test_reports_begin_with_the_answer():
    result = make_result(cells=figures(6000.0, 150.0), skew=[])
    assert result_as_markdown(result).split("\n")[2] == "**Is ONNX worth it for m?** Yes."
    page = render(result, "report.html.j2")
    assert "<b>Is ONNX worth it for m?</b> Yes.</p>" in page
    assert page.index("40 times as many") < page.index("measured<dd>")
    assert result.key_figures()[0] == "Is ONNX worth it for m? Yes."
