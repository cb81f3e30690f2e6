"""The one table and its three forms."""

import pytest

from bundle.table import Table, byte_size, printable, three_digits, to_html, to_markdown, to_text

TABLE = Table(
    "Cats", ("name", "weight", "says"), (("Tom", "12", "a|b"), ("<Kit>", "**3**", "")), frozenset({0, 2}),
    failed=frozenset({1}), notes=("weighed & counted",),
)  # fmt: skip


def test_a_terminal_gets_columns():
    assert to_text(TABLE) == "name   weight  says\nTom        12  a|b\n<Kit>       3\nweighed & counted"


def test_markdown_keeps_its_columns_whatever_the_texts_are():
    assert to_markdown(TABLE) == (
        "| name | weight | says |\n|---|---:|---|\n| Tom | 12 | a\\|b |\n| <Kit> | **3** | |\n\n- weighed & counted"
    )


def test_names_can_neither_control_a_terminal_nor_pass_for_other_lines():
    hostile = "\x1b[2J\u202ea\nb\u2028"
    escaped = r"\x1b[2J\u202ea\nb\u2028"
    table = Table("", (hostile,), ((hostile,),), notes=(hostile,))
    assert to_text(table).splitlines() == [escaped] * 3
    assert to_markdown(table).splitlines() == [f"| {escaped} |", "|---|", f"| {escaped} |", "", f"- {escaped}"]
    assert printable("schön\xa05 µs, 年齢 🙂") == "schön\xa05 µs, 年齢 🙂"


def test_html_is_escaped_and_says_what_failed():
    page = to_html(TABLE)
    assert '<tr><th>Tom<td>12<td class="left">a|b</tr>' in page
    assert '<tr class="bad"><th>&lt;Kit&gt;<td><b>3</b><td class="left"></tr>' in page
    assert "<li>weighed &amp; counted</li>" in page


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.0421, "0.0421"), (1.5, "1.50"), (12.34, "12.3"), (123.4, "123"), (12345.6, "12,346"),
     (float("nan"), "nan")],
)  # fmt: skip
def test_three_digits_are_kept(value, text):
    assert three_digits(value) == text


def test_bytes_have_a_unit():
    assert [byte_size(value) for value in (437_000, 1_500_000, 25e9)] == ["437.0 KB", "1.5 MB", "25.0 GB"]
