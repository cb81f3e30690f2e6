"""The Adult files as UCI has them, and every way in which a line can be wrong."""

import os
from pathlib import Path

import polars as pl
import pytest

from training.adult import CLASSES, DATASET, FEATURES, FILES, TARGET, parse, parse_file
from training.data.prepare import prepare_rows, split
from training.data.sources import load_rows
from training.errors import DataError

LINE = (
    "39, State-gov, 77516, Bachelors, 13, Never-married, Adm-clerical, Not-in-family, White, Male, 2174, 0, 40, Cuba, "
    "<=50K"
)
VALUES = dict(zip([*(feature.name for feature in FEATURES), TARGET], LINE.split(", "), strict=True))


def line(**changes):
    return ", ".join({**VALUES, **changes}.values())


def rows(*lines, end="\n"):
    return parse_file("adult.data", (end.join(lines) + end).encode())


def test_values_have_their_types():
    assert rows(LINE).row(0, named=True) == {
        "age": 39.0,
        "workclass": "State-gov",
        "fnlwgt": 77516.0,
        "education": "Bachelors",
        "education_num": 13.0,
        "marital_status": "Never-married",
        "occupation": "Adm-clerical",
        "relationship": "Not-in-family",
        "race": "White",
        "sex": "Male",
        "capital_gain": 2174.0,
        "capital_loss": 0.0,
        "hours_per_week": 40.0,
        "native_country": "Cuba",
        "income": "<=50K",
    }


@pytest.mark.parametrize(
    "text", [LINE.replace(", ", ","), "  " + LINE.replace(", ", " ,\t") + "  ", f"{LINE}.", f"{LINE}. "]
)
def test_padding_and_the_label_s_dot_are_removed(text):
    assert rows(text).equals(rows(LINE))


def test_question_mark_is_missing():
    frame = rows(line(workclass="?", native_country="?"), line(occupation="?"), LINE)
    assert frame["workclass"].to_list() == [None, "State-gov", "State-gov"]
    assert frame["native_country"].to_list() == [None, "Cuba", "Cuba"]
    assert frame["occupation"].to_list() == ["Adm-clerical", None, "Adm-clerical"]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_comment_line_and_blank_lines_are_left_out(end):
    frame = rows("|1x3 Cross validator", LINE, "", "   ", LINE + ".", "", end=end)
    assert frame.equals(rows(LINE, LINE))


def test_last_line_needs_no_end():
    assert parse_file("adult.data", LINE.encode()).equals(rows(LINE))


@pytest.mark.parametrize("content", [b"", b"\n\n", b"|1x3 Cross validator\n"])
def test_file_without_rows_gives_none(content):
    frame = parse_file("adult.data", content)
    assert frame.height == 0
    assert frame.schema == rows(LINE).schema


def test_files_are_joined_in_order():
    files = {"adult.test": line(age="2", income=">50K.").encode(), "adult.data": line(age="1").encode()}
    frame = parse(files)
    assert frame["age"].to_list() == [1.0, 2.0]
    assert frame[TARGET].to_list() == list(CLASSES)


WRONG = {
    "missing field": (LINE.rpartition(", ")[0], "expected 15 fields"),
    "too many fields": (LINE + ", more", "expected 15 fields"),
    "trailing comma": (LINE + ",", "expected 15 fields"),
    "one word": ("truncated", "expected 15 fields: 'truncated'"),
    "unknown label": (line(income="<=40K"), "unknown income: '<=40K'"),
    "missing label": (line(income="?"), "unknown income: None"),
    "empty label": (line(income=""), "unknown income: ''"),
    "two dots": (line(income=">50K.."), r"unknown income: '>50K\.'"),
    "text for a number": (line(age="forty"), "age is not a number: 'forty'"),
    "number with a unit": (line(capital_gain="2174$"), r"capital_gain is not a number: '2174\$'"),
    "empty number": (line(hours_per_week=""), "hours_per_week is not a number: ''"),
    "infinite number": (line(fnlwgt="inf"), "fnlwgt is not a number: 'inf'"),
    "NaN": (line(capital_loss="nan"), "capital_loss is not a number: 'nan'"),
    "unranked education": (line(education="Apprentice"), "unknown education: 'Apprentice'"),
    "missing education": (line(education="?"), "education is missing"),
    "missing number": (line(education_num="?"), "education_num is missing"),
    "missing nominal": (line(sex="?"), "sex is missing"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_line_is_named_with_its_file(wrong):
    text, problem = WRONG[wrong]
    with pytest.raises(DataError, match=rf"^adult\.test, line 4: {problem}.*\(1 such lines\)$"):
        parse_file("adult.test", f"|comment\n{LINE}\n\n{text}\n{LINE}\n".encode())


def test_first_of_several_wrong_lines_is_named_and_all_are_counted():
    with pytest.raises(DataError, match=r"^adult\.data, line 2: age is not a number: 'x' \(2 such lines\)$"):
        rows(LINE, line(age="x"), LINE, line(age="y"))


def test_text_that_is_not_utf_8_is_no_reason_to_crash():
    with pytest.raises(DataError, match="line 1: unknown education"):
        parse_file("adult.data", line(education="Bachelors").encode().replace(b"Bachelors", b"\xff\xfe"))


def test_files_have_at_least_two_sources_of_two_hosts_or_formats():
    for file in FILES:
        assert len(set(file.sources)) >= 2
        assert all(source.startswith("https://") for source in file.sources)


@pytest.fixture(scope="module")
def real_rows():
    folder = os.environ.get("DATA_DIR")
    if not folder or not all(Path(folder, file.name).is_file() for file in FILES):
        pytest.skip("DATA_DIR names no folder with adult.data and adult.test")
    return load_rows(DATASET, "uci", Path(folder))


@pytest.mark.real_data
def test_real_files_have_the_rows_that_uci_documents(real_rows):
    frame = real_rows.frame
    assert frame.height == 48_842
    assert dict(frame[TARGET].value_counts().iter_rows()) == {"<=50K": 37_155, ">50K": 11_687}
    assert {name: count for name, count in frame.null_count().row(0, named=True).items() if count} == {
        "workclass": 2_799,
        "occupation": 2_809,
        "native_country": 857,
    }
    assert frame.select(pl.col("age").min().alias("low"), pl.col("age").max().alias("high")).row(0) == (17, 90)


@pytest.mark.real_data
def test_real_rows_are_split_as_documented(real_rows):
    training, held_out = split(DATASET, real_rows.frame)
    assert (training.height, held_out.height) == (32_724, 16_118)
    assert dict(held_out[TARGET].value_counts().iter_rows()) == {"<=50K": 12_261, ">50K": 3_857}


@pytest.mark.real_data
def test_real_rows_are_described_with_their_files(real_rows):
    description = prepare_rows(DATASET, real_rows).description
    assert description.source == "uci"
    assert [(file.name, file.sha256) for file in description.files] == [(file.name, file.sha256) for file in FILES]
