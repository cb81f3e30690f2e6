"""What the columns of an unknown table are taken for, and a data set made of one file."""

import datetime as dt
import importlib.util
import sys

import polars as pl
import pytest

from training.data.file_dataset import dataset_name, doubts, infer_dataset, module_text, schema_lines
from training.data.infer import coarse_numbers, infer_column, infer_columns
from training.data.infer_target import infer_target
from training.data.typed import typed_rows
from training.dataset import Boolean, Date, Nominal, Numeric
from training.errors import DataError

ROWS = 60


def texts(name, values, rows=ROWS):
    """A column as a CSV file gives it: the values over and over."""
    return pl.Series(name, [values[i % len(values)] for i in range(rows)], dtype=pl.String)


@pytest.mark.parametrize(
    ("values", "feature"),
    [
        (["1", "2", "30"], Numeric(name="x", integer=True)),
        (["1", "-2.5", "1e3"], Numeric(name="x")),
        (["1", None, "3"], Numeric(name="x", integer=True, nullable=True)),
        (["1.5", "NA", "?", "n/a", "2"], Numeric(name="x", nullable=True)),
        ([" 1", "2 "], Numeric(name="x", integer=True)),
        (["true", "false"], Boolean(name="x")),
        (["True", "FALSE", None], Boolean(name="x", nullable=True)),
        (["0", "1"], Numeric(name="x", integer=True)),
        (["2024-02-29", "2023-01-01"], Date(name="x")),
        (["2024-02-29", None], Date(name="x", nullable=True)),
        (["yes", "no"], Nominal(name="x")),
        (["a", None, "b"], Nominal(name="x", nullable=True)),
        (["01234", "04567"], Nominal(name="x")),
        (["2024-02-30", "2024-01-01x"], Nominal(name="x")),
        (["12", "twelve"], Nominal(name="x")),
        (["NA", "EU", "AS"], Nominal(name="x")),
        (["1", "inf"], Nominal(name="x")),
    ],
)
def test_what_a_column_is_taken_for(values, feature):
    assert infer_column(texts("x", values)).feature == feature


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        (texts("x", [None]), "no value in any row"),
        (texts("x", ["CH"]), "constant: every row has 'CH'"),
        (pl.Series("customer_id", [str(7 * i) for i in range(ROWS)]), "an id: every row has its own whole number"),
        (
            pl.Series("n", [str(1000 + i) for i in range(ROWS)]),
            "an id: every row has its own whole number, from 1000 on",
        ),
        (
            pl.Series("Nummer", [str(i + i // 3) for i in range(ROWS)]),  # rows without a target were left out
            "an id: every row has its own whole number, from 0 on",
        ),
        (pl.Series("mail", [f"{i}@x" for i in range(ROWS)]), "an id: 60 different values in 60 rows"),
        (pl.Series("note", [f"{i} {'word ' * 12}" for i in range(ROWS)]), "free text: 60 different texts"),
        (texts("t", ["2024-01-01 10:00", "2024-01-02 11:30"]), "only YYYY-MM-DD can be a feature"),
        (texts("t", ["31/12/2024", "1/2/2024"]), "only YYYY-MM-DD can be a feature"),
        (pl.Series("t", [dt.datetime(2024, 1, 1 + i % 9) for i in range(ROWS)]), "time stamps are no feature"),
        (pl.Series("l", [[1], [2]] * 30), "are no feature"),
    ],
)
def test_what_is_left_out_and_why(column, reason):
    found = infer_column(column)
    assert found.feature is None
    assert reason in found.reason


def test_a_quantity_that_differs_in_every_row_is_no_id():
    income = pl.Series("income", [str(20_000 + 37 * i * i % 9973) for i in range(ROWS)])
    assert infer_column(income).feature == Numeric(name="income", integer=True)


def test_types_of_a_parquet_file_are_kept():
    table = pl.DataFrame(
        {
            "whole": pl.Series([1, 2, 3, None] * 15, dtype=pl.Int32),
            "real": [1.0, 2.0, 3.0, 4.0] * 15,
            "flag": [True, False, None, True] * 15,
            "day": [dt.date(2024, 1, 1), None, None, dt.date(2024, 1, 2)] * 15,
            "kind": pl.Series(["a", "b", "a", "b"] * 15, dtype=pl.Categorical),
        }
    )
    assert [column.feature for column in infer_columns(table, "y", [])] == [
        Numeric(name="whole", integer=True, nullable=True),
        Numeric(name="real"),
        Boolean(name="flag", nullable=True),
        Date(name="day", nullable=True),
        Nominal(name="kind"),
    ]


@pytest.mark.parametrize(
    ("values", "task", "classes"),
    [
        (["no", "no", "yes"], "binary_classification", ("no", "yes")),
        (["yes", "yes", "no"], "binary_classification", ("yes", "no")),
        (["0", "1"], "binary_classification", (0, 1)),
        (["True", "False"], "binary_classification", (False, True)),
        (["a", "b", "c"], "multiclass_classification", ("a", "b", "c")),
        (["3", "1", "2"], "multiclass_classification", (1, 2, 3)),
        (["1.5", "2"], "regression", ()),
        ([str(i) for i in range(21)], "regression", ()),
    ],
)
def test_what_a_target_is_taken_for(values, task, classes):
    found = infer_target(texts("y", values))
    assert (found.task, found.classes) == (task, classes)
    assert [type(label) for label in found.classes] == [type(label) for label in classes]


def test_classes_are_named_with_their_rows_the_most_frequent_first():
    assert infer_target(texts("y", ["b", "a", "c", "a"])).reason == "3 classes, by rows: 'a' 30, 'b' 15, 'c' 15"
    many = infer_target(texts("y", [f"{i:02}x" for i in range(12)])).reason
    assert many.endswith(", '09x' 5, 2 more")


def test_the_positive_class_and_the_task_can_be_named():
    assert infer_target(texts("y", ["no", "no", "yes"]), positive="no").classes == ("yes", "no")
    assert infer_target(texts("y", ["true", "false"]), positive="false").classes == (True, False)
    assert infer_target(texts("y", ["1", "2"]), task="regression").classes == ()
    assert len(infer_target(texts("y", [str(i) for i in range(21)]), task="classification").classes) == 21


@pytest.mark.parametrize(
    ("values", "named", "message"),
    [
        (["a"], {}, "all rows have the same value"),
        (["a", "b"], {"positive": "c"}, "POSITIVE=c: y has the classes 'a' and 'b'"),
        (["a", "b", "c"], {"positive": "a"}, "POSITIVE is for two"),
        (["1.5", "2"], {"positive": "2"}, "has no classes"),
        (["a", "b"], {"task": "regression"}, "a regression needs numbers, but there is 'a'"),
        ([f"name {i}" for i in range(101)], {}, "101 different values are too many classes"),
    ],
)
def test_targets_that_cannot_be(values, named, message):
    with pytest.raises(DataError, match=message):
        infer_target(texts("y", values, rows=202), **named)


CSV = "id,age,plan,since,active,zip,country,churn\n" + "".join(
    f"{i},{20 + i % 50 if i % 7 else ''},{'abc'[i % 3]},2024-01-{1 + i % 28:02d},{'true' if i % 2 else 'false'},"
    f"{i % 9:05d},CH,{'yes' if i % 5 == 0 else 'no'}\n"
    for i in range(120)
)


@pytest.fixture
def csv(tmp_path):
    path = tmp_path / "my customers.csv"
    path.write_text(CSV)
    return path


def test_a_file_is_a_data_set(csv):
    inferred = infer_dataset(csv, "churn", ignored=["plan"])
    dataset = inferred.dataset
    assert (dataset.name, dataset.classes, dataset.task) == ("my_customers", ("no", "yes"), "binary_classification")
    assert [feature.name for feature in dataset.features] == ["age", "since", "active", "zip"]
    frame = dataset.parse({csv.name: csv.read_bytes()})
    assert frame.row(0, named=True) == {
        "age": None, "since": dt.date(2024, 1, 1), "active": False, "zip": "00000", "churn": "yes",
    }  # fmt: skip
    told = "\n".join(schema_lines(inferred))
    assert doubts(inferred) == []
    for part in (
        "120 rows, 4 features",
        "target   churn: two classes; positive is 'yes'",
        "IGNORE names it",
        "18 missing",
    ):
        assert part in told


def test_the_module_that_is_written_is_the_same_data_set(csv, tmp_path):
    inferred = infer_dataset(csv, "churn")
    path = tmp_path / "module.py"
    path.write_text(module_text(inferred))
    spec = importlib.util.spec_from_file_location("written", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert "written" not in sys.modules
    for field in ("name", "source", "features", "target", "classes", "files"):
        assert getattr(module.DATASET, field) == getattr(inferred.dataset, field)
    content = {csv.name: csv.read_bytes()}
    assert module.DATASET.parse(content).equals(inferred.dataset.parse(content))


def test_a_missing_target_says_what_is_there(csv):
    with pytest.raises(DataError, match=r"column 'Churn' is missing; there are 'id', .*spelt otherwise .*: 'churn'"):
        infer_dataset(csv, "Churn")
    csv.write_text(CSV.replace(",", ";"))
    with pytest.raises(DataError, match="fields seem to be separated by ';': give SEPARATOR=';'"):
        infer_dataset(csv, "churn")


@pytest.mark.parametrize(
    ("name", "expected"), [("a.b.csv", "a"), ("2024 data.csv", "data_2024_data"), ("年.csv", "年"), ("--.csv", "data")]
)
def test_names_of_models_from_names_of_files(tmp_path, name, expected):
    assert dataset_name(tmp_path / name) == expected


def test_rows_without_a_target_are_left_out_and_counted(capsys):
    table = pl.DataFrame({"x": ["1", "2", "3"], "y": ["a", None, "b"]})
    frame = typed_rows(table, [Numeric(name="x")], "y", ("a", "b"), "f.csv")
    assert frame.rows() == [(1.0, "a"), (3.0, "b")]
    assert "f.csv: 1 of 3 rows have no y; they are left out" in capsys.readouterr().out


def test_all_wrong_values_are_told_with_row_and_column():
    table = pl.DataFrame({"x": ["1", "zwei", "1e39"], "d": ["2024-01-01", "soon", "2024-1-1"], "y": ["a", "c", "b"]})
    with pytest.raises(DataError) as raised:
        typed_rows(table, [Numeric(name="x"), Date(name="d")], "y", ("a", "b"), "f.csv")
    for part in ("5 problems", "row 2, column 'x': 'zwei'", "row 3, column 'x': '1e39'", "row 2, column 'd': 'soon'",
                 "row 3, column 'd': '2024-1-1'", "row 2, column 'y': 'c' is none of the classes 'a'"):  # fmt: skip
        assert part in str(raised.value)


def test_whole_numbers_that_a_32_bit_float_cannot_tell_apart_are_told():
    frame = pl.DataFrame({"id": [4e15 + i for i in range(100)], "small": [float(i) for i in range(100)]})
    features = [Numeric(name="id", integer=True), Numeric(name="small", integer=True)]
    (told,) = coarse_numbers(frame, features)
    assert "column 'id': 99 of 100 different values" in told
    assert "2^24" in told


def test_other_numbers_that_a_32_bit_float_cannot_tell_apart_are_told_too():
    seconds = [1_700_000_000.5 + i for i in range(100)]
    frame = pl.DataFrame({"at": seconds, "whole": [4e15 + i for i in range(100)], "fine": [i / 7 for i in range(100)]})
    told = coarse_numbers(frame, [Numeric(name="at"), Numeric(name="whole"), Numeric(name="fine")])
    assert [line.split("'")[1] for line in told] == ["at", "whole"]
    assert "such floats have seven digits" in told[0]


@pytest.mark.parametrize("values", [["1,5", "2,25", "-0,1"], ["1.234,5", "12.000,75"]])
def test_numbers_with_a_decimal_comma_are_no_categories(values):
    column = infer_column(pl.Series("price", values * 20))
    assert column.feature is None
    assert "looks like numbers with a decimal comma" in column.reason


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        (texts("x", [None, "NA"]), "no value in any row; 'NA' mean missing"),
        (texts("x", ["nan", "None", "?"]), "no value in any row; 'nan', 'None', '?' mean missing"),
        (texts("x", ["0", "-0.0"]), "constant: every row has 0"),
        (pl.Series("x", [float("nan")] * ROWS), "no value in any row"),
        (pl.Series("x", [-800_000 + i for i in range(ROWS)]).cast(pl.Date), "dates outside the years from 1 to 9999"),
        (texts("x", ["0000-01-01", "2024-01-01"]), "looks like dates"),
        (pl.Series("x", [f"1,{i:03},000" for i in range(ROWS)]), "looks like numbers ('1,000,000')"),
        (pl.Series("x", [f"$ {i}.50" for i in range(ROWS)]), "looks like numbers ('$ 0.50')"),
        (texts("x", ["x" * 1000]), f"constant: every row has '{'x' * 50}…'"),
    ],
)
def test_why_a_column_with_odd_values_is_left_out(column, reason):
    inferred = infer_column(column)
    assert inferred.feature is None
    assert reason in inferred.reason


def test_a_column_that_one_value_keeps_from_being_numeric_says_so():
    column = pl.Series("x", [*(str(i % 9) for i in range(ROWS)), "1e400"])
    assert infer_column(column).feature == Nominal(name="x")
    assert "1 of 61 values are no numbers, such as '1e400'" in infer_column(column).reason


@pytest.mark.parametrize(
    ("distinct", "told"), [(40, "is left out: not a numeric"), (9, "is one of categories: 10 categories, such as '20'")]
)
def test_a_column_in_which_numbers_were_probably_meant_is_a_doubt(tmp_path, distinct, told):
    ages = ["4o", *(str(20 + i % distinct) for i in range(ROWS))]
    path = tmp_path / "rows.csv"
    path.write_text("age,x,y\n" + "".join(f"{age},{i % 7},{'ny'[i % 2]}\n" for i, age in enumerate(ages)))
    (doubt,) = doubts(infer_dataset(path, "y"))
    assert doubt.startswith(f"column 'age' {told}")
    assert "not a numeric feature, as 1 of 61 values are no numbers, such as '4o'; correct the file, or name" in doubt


def test_types_of_a_parquet_file_decide_before_their_texts_do():
    numbers = pl.Series("x", [1.5, float("nan"), 2.5] * 20)
    assert infer_column(numbers).feature == Numeric(name="x", nullable=True)
    assert infer_column(texts("x", ["1", "2"]).cast(pl.Categorical)).feature == Nominal(name="x")
    infinite = pl.Series("x", [float("inf"), *range(ROWS)], dtype=pl.Float64)
    assert infer_column(infinite).feature == Numeric(name="x")
    target = pl.Series("y", range(ROWS + 1), dtype=pl.Float64)
    with pytest.raises(DataError, match="row 1, column 'x': inf is no number"):
        typed_rows(pl.DataFrame([infinite, target]), (Numeric(name="x"),), "y", (), "rows.parquet")


def test_not_a_number_is_a_missing_value_and_a_missing_target():
    table = pl.DataFrame({"x": [1.5, float("nan"), 2.5], "y": [1.0, 2.0, float("nan")]})
    typed = typed_rows(table, (Numeric(name="x", nullable=True),), "y", (), "rows.parquet")
    assert typed.rows() == [(1.5, 1.0), (None, 2.0)]


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        (["0.5", "1.5", "NA"], ()),
        (["1", "0", "NA"], (0, 1)),
        (["True", "false", "?"], (False, True)),
    ],
)
def test_rows_whose_number_or_boolean_target_is_written_as_missing_are_left_out(values, classes, capsys):
    target = texts("y", values)
    assert infer_target(target).classes == classes
    table = pl.DataFrame([pl.Series("x", range(ROWS)), target])
    assert typed_rows(table, (Numeric(name="x"),), "y", classes, "rows.csv").height == ROWS * 2 // 3
    assert "20 of 60 rows have no y" in capsys.readouterr().out


def test_integer_labels_are_kept_to_the_last_digit_or_are_texts():
    assert infer_target(texts("y", ["9007199254740993", "9007199254740995"])).classes == (
        9007199254740993,
        9007199254740995,
    )
    assert set(infer_target(texts("y", ["1" + 25 * "0", "2" + 25 * "0"])).classes) == {"1" + 25 * "0", "2" + 25 * "0"}
    table = pl.DataFrame({"x": [1, 2, 3], "y": [0.0, 1.0, 0.5]})
    with pytest.raises(DataError, match=r"row 3, column 'y': 0.5 is none of the classes 0, 1"):
        typed_rows(table, (Numeric(name="x"),), "y", (0, 1), "rows.parquet")


@pytest.mark.parametrize("dtype", [pl.Categorical, pl.Enum(["no", "yes"])])
def test_a_target_of_a_type_of_categories_has_classes(dtype):
    assert infer_target(texts("y", ["yes", "no", "no"]).cast(dtype)).classes == ("no", "yes")


def test_targets_that_nothing_can_predict_are_refused():
    with pytest.raises(DataError, match=r"TARGET=y: values of type List\(Int64\) can't be predicted"):
        infer_target(pl.Series("y", [[1], [2]] * 30))
    with pytest.raises(DataError, match="IGNORE: 'y' is the target"):
        infer_columns(pl.DataFrame({"x": [1, 2], "y": [1, 2]}), "y", ["y"])


def test_positive_is_written_as_the_file_writes_it():
    assert infer_target(texts("y", ["True", "False"]), positive="True").classes == (False, True)


def test_a_name_that_says_no_kind_of_table_is_refused(tmp_path):
    path = tmp_path / "rows.xlsx"
    path.write_text("x,y\n1,a\n")
    with pytest.raises(DataError, match=r"its name doesn't say what kind of table it is .*SEPARATOR="):
        infer_dataset(path, "y")
