import polars as pl
import pytest

from tests.training.conftest import orchard
from training.data.rows import prepare_rows
from training.data.sources import Rows
from training.errors import DataError


def test_a_class_with_too_few_rows_to_cross_validate_is_refused():
    dataset, frame = orchard("numeric")
    few = pl.concat([frame.filter(pl.col("sold") == "no"), frame.filter(pl.col("sold") == "yes").head(4)])
    with pytest.raises(DataError, match="only 3 training rows are 'yes'; 4 are needed"):
        prepare_rows(dataset, Rows(few, "farm"))


def test_a_column_without_a_value_in_any_training_row_is_refused():
    dataset, frame = orchard()
    rows = prepare_rows(dataset, Rows(frame, "farm"))
    held_out_weight = rows.held_out["weight"].drop_nulls()[0]
    sparse = frame.with_columns(pl.when(pl.col("weight") == held_out_weight).then(pl.col("weight")).alias("weight"))
    with pytest.raises(DataError, match="'weight' has no value in any training row"):
        prepare_rows(dataset, Rows(sparse, "farm"))
