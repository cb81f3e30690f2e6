"""A made-up table with gaps, as the libraries have it, and what a graph gives for its rows."""

from dataclasses import dataclass

import numpy as np
import onnxruntime
import pandas as pd
import polars as pl

from training.export.named_graph import Input

MISSING, UNSEEN = "\N{REPLACEMENT CHARACTER}missing", "\N{REPLACEMENT CHARACTER}unseen"
NUMBERS, TEXTS = ("weight", "mean radius", "age"), ("colour", "grade")


@dataclass(frozen=True)
class Table:
    """Rows for fitting, with their targets, and odd rows that no model has seen; nulls only if `gaps`."""

    frame: pl.DataFrame
    odd: pl.DataFrame
    binary: np.ndarray
    several: np.ndarray
    value: np.ndarray


def make_table(rows: int = 300, *, gaps: bool) -> Table:
    generator = np.random.default_rng(5)
    weight = generator.normal(150, 30, rows).astype(np.float32).astype(float)
    radius = generator.exponential(2, rows).astype(np.float32).astype(float)
    age = generator.integers(0, 90, rows).astype(float)
    colour = generator.choice(["red", "green", "blue", "größer 🍏"], rows, p=[0.5, 0.3, 0.18, 0.02])
    grade = generator.choice(["poor", "fair", "good"], rows)
    value = (weight - 150) / 30 + np.log1p(radius) - age / 45 + (colour == "red") + 0.7 * (grade == "good")
    value += generator.normal(0, 0.4, rows)
    frame = pl.DataFrame({"weight": weight, "mean radius": radius, "age": age, "colour": colour, "grade": grade})
    odd = pl.concat([frame[:6]] * 4).with_row_index("i")
    odd = odd.with_columns(
        weight=pl.when(pl.col("i") == 1).then(3.4e38).when(pl.col("i") == 2).then(-3.4e38).otherwise("weight"),
        age=pl.when(pl.col("i") == 3).then(1e-40).when(pl.col("i") == 4).then(16_777_217.0).otherwise("age"),
    ).drop("i")
    odd = odd.with_columns(pl.col("weight", "age").cast(pl.Float32).cast(pl.Float64))
    if gaps:
        holes = {name: generator.random(rows) < 0.15 for name in frame.columns}
        frame = frame.with_columns(
            pl.when(pl.Series(holes[name])).then(None).otherwise(pl.col(name)).alias(name) for name in frame.columns
        )
        odd = pl.concat(
            [odd, *(odd[6:12].with_columns(pl.lit(None, odd[name].dtype).alias(name)) for name in odd.columns)]
        )
        odd = pl.concat([odd, odd[:1].select(pl.lit(None, odd[name].dtype).alias(name) for name in odd.columns)])
    several = np.digitize(value, np.quantile(value, [0.3, 0.7]))
    return Table(frame, odd, (value > 0.4).astype(int), several, value)


def with_unseen(frame: pl.DataFrame) -> pl.DataFrame:
    """The rows, and again with a category that nobody has seen in each column of strings."""
    return pl.concat([frame, *(frame[:5].with_columns(pl.lit("never seen").alias(name)) for name in TEXTS)])


def in_frame(frame: pl.DataFrame, kind: str, columns: tuple[str, ...]):
    """The columns as a polars frame, a pandas frame (missing as NaN) or a matrix."""
    chosen = frame.select(columns)
    if kind == "polars":
        return chosen.with_columns(pl.col(name).fill_null(float("nan")) for name in columns if name in NUMBERS)
    if kind == "numpy":
        return chosen.to_numpy().astype(np.float64)
    return pd.DataFrame(
        {
            name: np.array(
                [np.nan if value is None else value for value in chosen[name].to_list()],
                dtype=np.float64 if name in NUMBERS else object,
            )
            for name in columns
        }
    )


def inputs_of(columns: tuple[str, ...]) -> list[Input]:
    return [Input(name, name, name in TEXTS) for name in columns]


def run(content: bytes, frame: pl.DataFrame, columns: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Outputs of a named or packed graph for the rows."""
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    texts = [name for name in columns if name in TEXTS]
    numbers = [name for name in columns if name in NUMBERS]
    filled = frame.with_columns(
        pl.col(name).fill_null(float("nan") if name in NUMBERS else MISSING) for name in columns
    )
    groups = {"categorical": texts, "numeric": numbers}
    feeds = {}
    for node in session.get_inputs():
        values = filled.select(groups.get(node.name, [node.name])).to_numpy()
        feeds[node.name] = values.astype(object if node.type == "tensor(string)" else np.float32)
    return dict(zip([node.name for node in session.get_outputs()], session.run(None, feeds), strict=True))
