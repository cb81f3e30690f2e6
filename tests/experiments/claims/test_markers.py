import pytest

from experiments.report.errors import ClaimError
from experiments.report.markers import Content, Figure, rewrite

CONTENT = Content(
    figures={"fast": Figure(1200.0, "1,200"), "slow": Figure(100.0, "100"), "none": Figure(0.0, "0")},
    blocks={"table": "| a |\n|---|"},
)


def test_a_block_is_replaced_whole():
    text = "before\n<!-- figures: table -->\n| old |\n<!-- /figures -->\nafter\n"
    assert rewrite(text, CONTENT, "x.md") == "before\n<!-- figures: table -->\n| a |\n|---|\n<!-- /figures -->\nafter\n"


def test_figures_and_quotients_are_written_in_place():
    text = "It has <!--= fast -->9<!--/-->, <!--= fast / slow -->9<!--/-->, <!--= slow / fast --><!--/--> times."
    assert rewrite(text, CONTENT, "x.md") == (
        "It has <!--= fast -->1,200<!--/-->, <!--= fast / slow -->12<!--/-->, <!--= slow / fast -->0.1<!--/--> times."
    )


def test_writing_twice_changes_nothing():
    text = "a <!--= fast --><!--/-->\n<!-- figures: table -->\n<!-- /figures -->\n"
    once = rewrite(text, CONTENT, "x.md")
    assert rewrite(once, CONTENT, "x.md") == once


def test_text_without_markers_stays_as_it_is():
    text = "# Title\n\n<!-- an ordinary comment -->\n1 < 2 --> 3\n"
    assert rewrite(text, CONTENT, "x.md") == text


@pytest.mark.parametrize("bounds", ["1..20", "12..", "0..12.5"])
def test_words_stay_while_their_condition_holds(bounds):
    text = f"faster <!--? fast / slow {bounds} -->"
    assert rewrite(text, CONTENT, "x.md") == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\na <!--= quick -->1<!--/-->", "x.md:2: there is no figure 'quick'"),
        ("a <!--= fast / quick -->1<!--/-->", "x.md:1: there is no figure 'quick'"),
        ("a <!--= fast / none -->1<!--/-->", "x.md:1: 'fast / none' is not a quotient of two figures"),
        ("a <!--= fast / slow / slow -->1<!--/-->", "x.md:1: 'fast / slow / slow' is not a quotient"),
        ("a <!--= fast -->1", "x.md:1: a malformed or unclosed marker: <!--= fast -->1"),
        ("a <!--=fast-->1<!--/-->", "x.md:1: a malformed or unclosed marker: <!--=fast-->"),
        ("a 1<!--/-->", "x.md:1: a malformed or unclosed marker: <!--/-->"),
        ("a <!--? fast -->", "x.md:1: a malformed or unclosed marker: <!--? fast -->"),
        ("a <!--? fast 1..2..3 -->", "x.md:1: 1..2..3 are no bounds"),
        ("a <!--? fast / slow 1..2 -->", "x.md:1: the words there hold for fast / slow in 1..2, but it is 12"),
        ("- <!--= fast -->1<!--/-->", "x.md:1: a line that begins with a marker is raw HTML to Markdown"),
        ("<!-- figures: chart -->\n<!-- /figures -->", "x.md:1: there is no block 'chart'; there are table"),
        ("a\n<!-- figures: table -->\n| a |", r"x.md: the block of line 2 \(table\) is not closed"),
        ("<!-- /figures -->", "x.md:1: <!-- /figures --> closes nothing"),
        ("<!-- figures: table -->\n<!-- figures: table -->\n", "x.md:2: a block begins inside the one of 1"),
        ("<!-- figures: table -->\n a <!--= fast -->1<!--/-->\n", "x.md:2: a marker inside the block of line 1"),
        (" <!-- figures: table -->\n", "x.md:1: a malformed or unclosed marker"),
    ],
)
def test_a_marker_that_is_not_as_it_must_be_is_named_with_its_line(text, message):
    with pytest.raises(ClaimError, match=message.replace("?", r"\?")):
        rewrite(text, CONTENT, "x.md")
