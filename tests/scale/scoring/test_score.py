"""The command as a person uses it: what it writes, that it goes on, and that it can be shared out."""

import itertools
import json
import shutil
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest

from bundle.manifest import Manifest, encode_manifest
from bundle.reference import LABEL, PROBABILITIES
from scale.scoring import run as scoring_run
from tests.scale.scoring.conftest import Run


def read_parts(folder: Path) -> pl.DataFrame:
    return pl.concat(pl.read_parquet(path) for path in sorted(folder.glob("part-*.parquet")))


def part_names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("part-*.parquet"))


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_the_reference_rows_get_the_reference_scores(
    suffix: str, run: Run, features: pl.DataFrame, reference: pl.DataFrame, manifest: Manifest, tmp_path: Path
):
    source = tmp_path / f"rows{suffix}"
    numbered = features.with_row_index("id")
    numbered.write_parquet(source) if suffix == ".parquet" else numbered.write_csv(source, float_scientific=True)
    assert run(source, tmp_path / "scores", "--keep", "id", "--part-rows", "700", "--empty", "text") == 0
    scores = read_parts(tmp_path / "scores")
    assert scores.columns == ["id", "prediction", "probability", f"predicted_{manifest.target}"]
    assert scores["id"].cast(pl.UInt32).to_list() == list(range(reference.height))
    assert scores["prediction"].to_list() == reference[LABEL].to_list()
    assert np.abs(scores["probability"].to_numpy() - reference[PROBABILITIES].to_numpy()[:, 1]).max() <= 1e-6
    labels = [manifest.classes[label] for label in reference[LABEL]]
    assert scores[f"predicted_{manifest.target}"].to_list() == labels


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_all_columns_are_kept_as_they_are_in_a_single_file(
    suffix: str, run: Run, features: pl.DataFrame, manifest: Manifest, tmp_path: Path
):
    rows = features.head(500).with_columns(pl.lit("x").alias("note"))
    rows.write_parquet(tmp_path / "rows.parquet")
    target = tmp_path / f"scores{suffix}"
    assert run(tmp_path / "rows.parquet", target, "--part-rows", "200") == 0
    scores = pl.read_parquet(target) if suffix == ".parquet" else pl.read_csv(target, schema_overrides=rows.schema)
    assert scores.columns == [*rows.columns, "prediction", "probability", f"predicted_{manifest.target}"]
    assert scores.select(rows.columns).equals(rows)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rows.parquet", target.name]


def test_a_folder_of_files_is_scored_in_the_order_of_their_names(
    run: Run, features: pl.DataFrame, reference: pl.DataFrame, tmp_path: Path
):
    source = tmp_path / "in" / "deep"
    source.mkdir(parents=True)
    features[:400].write_parquet(source / "a.parquet", row_group_size=90)
    features[400:1000].write_csv(source / "b.csv")
    features[:0].write_parquet(source / "c.parquet")
    features[1000:1100].write_parquet(source / "d.parquet")
    (source / "_SUCCESS.csv").touch()
    assert run(tmp_path / "in", tmp_path / "out", "--keep", "", "--part-rows", "130", "--threads", "3") == 0
    assert read_parts(tmp_path / "out")["prediction"].to_list() == reference[LABEL][:1100].to_list()
    assert run(str(tmp_path / "in/**/[bd].*"), tmp_path / "glob", "--keep", "") == 0
    assert read_parts(tmp_path / "glob").height == 700


def test_unseen_categories_are_counted_over_all_parts(
    run: Run, features: pl.DataFrame, manifest: Manifest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    name = manifest.categorical[1].name
    seen = manifest.categorical[1].categories[0]
    values = [seen, f"{seen}\0", "nobody's", "", seen]
    rows = features.head(1).select(pl.all().repeat_by(5).explode()).with_columns(pl.Series(name, values))
    rows = rows.with_columns(pl.lit(f.categories[0]).alias(f.name) for f in manifest.categorical if f.name != name)
    rows.write_parquet(tmp_path / "rows.parquet")
    assert run(tmp_path / "rows.parquet", tmp_path / "out", "--part-rows", "2") == 0
    assert f"unseen   {name} 3 (" in capsys.readouterr().out
    probability = read_parts(tmp_path / "out")["probability"].to_list()
    assert probability[0] == probability[4]
    assert probability[1] == probability[2] == probability[3] != probability[0]


def test_a_run_goes_on_with_the_parts_that_are_missing(
    run: Run, features: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    features.head(1000).write_parquet(tmp_path / "rows.parquet")
    whole, out = tmp_path / "whole", tmp_path / "out"
    assert run(tmp_path / "rows.parquet", whole, "--part-rows", "100") == 0
    write, calls = scoring_run.write_part, itertools.count()

    def dying(*arguments):
        if next(calls) == 4:
            raise KeyboardInterrupt
        write(*arguments)

    monkeypatch.setattr(scoring_run, "write_part", dying)
    assert run(tmp_path / "rows.parquet", out, "--part-rows", "100", "--threads", "1") == 130
    finished = {path.name: path.stat().st_ino for path in out.glob("part-*.parquet")}
    assert 4 <= len(finished) < 10
    monkeypatch.setattr(scoring_run, "write_part", write)
    (out / part_names(out)[1]).unlink()
    (out / ".part-00000-000000000100.parquet.of-a-killed-run").touch()
    assert run(tmp_path / "rows.parquet", out, "--part-rows", "100") == 0
    assert read_parts(out).equals(read_parts(whole))
    assert sorted(path.name for path in out.iterdir()) == sorted(path.name for path in whole.iterdir())
    kept = {path.name for path in out.glob("part-*.parquet") if finished.get(path.name) == path.stat().st_ino}
    assert len(kept) >= len(finished) - 1


def test_shards_together_score_everything_once(run: Run, features: pl.DataFrame, tmp_path: Path):
    (tmp_path / "in").mkdir()
    features[:300].write_parquet(tmp_path / "in/a.parquet")
    features[300:777].write_csv(tmp_path / "in/b.csv")
    assert run(tmp_path / "in", tmp_path / "whole", "--part-rows", "100") == 0
    names: list[str] = []
    for number in (2, 0, 1):
        assert run(tmp_path / "in", tmp_path / "out", "--part-rows", "100", "--shard", f"{number}/3") == 0
        names.append(str(len(part_names(tmp_path / "out"))))
    assert names == ["3", "5", "8"]
    assert part_names(tmp_path / "out") == part_names(tmp_path / "whole")
    first = (tmp_path / "whole" / part_names(tmp_path / "whole")[0]).read_bytes()
    assert (tmp_path / "out" / part_names(tmp_path / "out")[0]).read_bytes() == first


def test_another_model_or_input_is_refused_until_told_to_start_afresh(
    run: Run, features: pl.DataFrame, models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    source, out = tmp_path / "rows.parquet", tmp_path / "out"
    features.head(100).write_parquet(source)
    assert run(source, out) == 0
    features.head(90).write_parquet(source)
    assert run(source, out) == 1
    assert capsys.readouterr().err.endswith(
        f"error: {out}: holds scores of another run (input changed: {source}); FRESH=1 replaces them\n"
    )
    assert read_parts(out).height == 100
    assert run(source, out, "--fresh") == 0
    assert read_parts(out).height == 90
    other = tmp_path / "models"
    shutil.copytree(models, other)
    path = next(other.glob("*.json"))
    path.write_bytes(
        encode_manifest(msgspec.structs.replace(msgspec.json.decode(path.read_bytes(), type=Manifest), version="new"))
    )
    assert run(source, out, "--models", str(other)) == 1
    assert "another run (version " in capsys.readouterr().err
    assert run(source, out, "--keep", "") == 1
    assert "another run (keep " in capsys.readouterr().err


def test_an_input_that_changes_meanwhile_is_not_called_scored(
    run: Run,
    features: pl.DataFrame,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    source = tmp_path / "rows.parquet"
    features.head(100).write_parquet(source)
    write = scoring_run.write_part

    def changing(*arguments):
        features.head(101).write_parquet(source)
        write(*arguments)

    monkeypatch.setattr(scoring_run, "write_part", changing)
    assert run(source, tmp_path / "out") == 1
    assert capsys.readouterr().err.endswith(
        f"error: {source}: changed while it was read; FRESH=1 scores all of the input again\n"
    )


def test_the_state_says_what_the_scores_are_of(run: Run, features: pl.DataFrame, manifest: Manifest, tmp_path: Path):
    features.head(10).write_parquet(tmp_path / "rows.parquet")
    assert run(tmp_path / "rows.parquet", tmp_path / "out") == 0
    state = json.loads((tmp_path / "out/_scoring.json").read_text())
    assert (state["model"], state["version"]) == (manifest.name, manifest.version)
    assert [file["rows"] for file in state["inputs"]] == [10]


def test_foreign_files_in_the_output_are_left_alone(
    run: Run, features: pl.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    features.head(10).write_parquet(tmp_path / "rows.parquet")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine.parquet").write_text("mine")
    assert run(tmp_path / "rows.parquet", tmp_path / "out") == 1
    assert "no _scoring.json; choose another OUTPUT" in capsys.readouterr().err
    assert run(tmp_path, tmp_path / "out2") == 1
    assert "can't be read" in capsys.readouterr().err
    assert run(tmp_path / "rows.parquet", tmp_path) == 1
    assert "would be an input, too" in capsys.readouterr().err


def test_the_speed_is_told_beside_the_runtimes_own(
    run: Run, features: pl.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    features.head(50).write_parquet(tmp_path / "rows.parquet")
    assert run(tmp_path / "rows.parquet", tmp_path / "out") == 0
    assert "of ONNX Runtime's own" in capsys.readouterr().out
    assert run(tmp_path / "rows.parquet", tmp_path / "out") == 0  # all there already
    assert "scored   50 rows in 1 parts" in (out := capsys.readouterr().out)
    assert "rows/s" not in out
