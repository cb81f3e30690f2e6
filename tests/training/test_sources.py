"""Where rows come from: the order of the sources, and what is never papered over."""

import dataclasses
import hashlib

import pandas as pd
import polars as pl
import pytest

from bundle.training_record import SourceFile
from training import adult
from training.data.prepare import prepare_rows
from training.data.sources import load_rows, read_files
from training.dataset import Dataset, Numeric, RemoteFile
from training.errors import DataError, DownloadError

LINE = "{age}, Private, 1, Bachelors, 13, Divorced, Sales, Wife, White, Male, 0, 0, 40, Cuba, {label}\n"
CONTENTS = {
    "adult.data": "".join(LINE.format(age=20 + i, label=adult.CLASSES[i % 2]) for i in range(8)).encode(),
    "adult.test": "".join(LINE.format(age=60 + i, label=adult.CLASSES[i % 2] + ".") for i in range(4)).encode(),
}


@pytest.fixture
def dataset(web):
    """The Adult data set with two tiny files, which the local server doesn't have yet."""
    files = tuple(
        RemoteFile(
            name=name,
            bytes=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            sources=(f"{web.url}/first/{name}", f"{web.url}/second/{name}"),
        )
        for name, content in CONTENTS.items()
    )
    return dataclasses.replace(adult.DATASET, files=files, synthetic_rows=50)


@pytest.fixture
def local(tmp_path):
    """A folder with both files."""
    for name, content in CONTENTS.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


@pytest.fixture
def online(web):
    """The second source has both files."""
    web.pages.update({f"/second/{name}": content for name, content in CONTENTS.items()})


@pytest.mark.parametrize("data", ["auto", "uci"])
def test_local_files_come_first(dataset, local, web, online, data, capfd):
    rows = load_rows(dataset, data, local)
    assert rows.frame["age"].to_list() == [*range(20, 28), *range(60, 64)]
    assert rows.source == "uci"
    assert rows.files == tuple(
        SourceFile(name=name, bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
        for name, content in CONTENTS.items()
    )
    assert web.asked == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("data", ["auto", "uci"])
def test_download_comes_next_and_is_kept_for_the_next_run(dataset, tmp_path, web, online, data, capfd):
    folder = tmp_path / "data"
    rows = load_rows(dataset, data, folder)
    assert (rows.source, rows.frame.height) == ("uci", 12)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == CONTENTS
    out, err = capfd.readouterr()
    assert f"downloading adult.data ({len(CONTENTS['adult.data'])} bytes) into {folder}" in out
    assert err == ""
    web.asked.clear()
    assert load_rows(dataset, data, folder).frame.equals(rows.frame)
    assert web.asked == []


def test_only_the_file_that_is_not_there_is_downloaded(dataset, local, web, online):
    (local / "adult.test").unlink()
    assert load_rows(dataset, "auto", local).frame.height == 12
    assert web.asked == ["/first/adult.test", "/second/adult.test"]


def test_synthetic_rows_come_last_with_a_warning_on_stderr(dataset, tmp_path, web, capfd):
    rows = load_rows(dataset, "auto", tmp_path)
    assert (rows.source, rows.files, rows.frame.height) == ("synthetic", (), 50)
    assert web.asked == ["/first/adult.data", "/second/adult.data"]
    out, err = capfd.readouterr()
    assert "SYNTHETIC" not in out
    assert "THE REAL DATA (uci) IS NOT AVAILABLE: TRAINING ON SYNTHETIC ROWS" in err
    assert "put adult.data, adult.test into DATA_DIR" in err
    assert f"{web.url}/first/adult.data: HTTP 404" in err
    assert list(tmp_path.iterdir()) == []


def test_uci_never_falls_back(dataset, tmp_path, capfd):
    with pytest.raises(DownloadError, match=r"adult\.data could not be downloaded"):
        load_rows(dataset, "uci", tmp_path)
    assert "SYNTHETIC" not in "".join(capfd.readouterr())


def test_auto_fails_where_there_are_no_synthetic_statistics(dataset, tmp_path):
    with pytest.raises(DownloadError):
        load_rows(dataclasses.replace(dataset, synthetic_statistics=None), "auto", tmp_path)


def test_synthetic_asks_for_no_file_and_warns_of_nothing(dataset, local, web, capfd):
    rows = load_rows(dataset, "synthetic", local)
    assert (rows.source, rows.frame.height) == ("synthetic", 50)
    assert web.asked == []
    assert capfd.readouterr() == ("", "")


def test_synthetic_rows_follow_the_seed(dataset, tmp_path):
    first, again, other = (load_rows(dataset, "synthetic", tmp_path, seed=seed).frame for seed in (1, 1, 2))
    assert first.equals(again)
    assert not first.equals(other)


def test_synthetic_is_an_error_for_a_data_set_without_statistics(dataset, tmp_path):
    with pytest.raises(DataError, match="adult_income_model has no synthetic rows; use DATA=uci"):
        load_rows(dataclasses.replace(dataset, synthetic_statistics=None), "synthetic", tmp_path)


@pytest.mark.parametrize("data", ["auto", "uci"])
@pytest.mark.parametrize("name", CONTENTS)
@pytest.mark.parametrize(
    "change",
    [
        lambda content: content[:-1],
        lambda _: b"",
        lambda content: content.replace(b"Cuba", b"Peru", 1),
        lambda content: content + b"\n",
    ],
    ids=["truncated", "empty", "changed", "longer"],
)
def test_wrong_local_file_is_an_error_that_names_it(dataset, local, web, online, data, name, change):
    wrong = change(CONTENTS[name])
    (local / name).write_bytes(wrong)
    with pytest.raises(DataError, match=f"^{local / name} is not the file that the data set names") as raised:
        load_rows(dataset, data, local)
    assert hashlib.sha256(wrong).hexdigest() in str(raised.value)
    assert f"RemoteFile(name={name!r}" in str(raised.value)
    assert "move it away, so that it is downloaded again" in str(raised.value)
    assert (local / name).read_bytes() == wrong
    assert web.asked == []


def test_local_file_that_cannot_be_read_is_an_error_that_names_it(dataset, local):
    (local / "adult.data").unlink()
    (local / "adult.data").mkdir()
    with pytest.raises(DataError, match=r"adult\.data: .*Is a directory"):
        load_rows(dataset, "auto", local)


@pytest.mark.parametrize("data", ["", "UCI", "real", "farm"])
def test_unknown_choice_is_named_with_the_valid_ones(dataset, local, data):
    with pytest.raises(DataError, match=f"^DATA={data!r}: choose auto, uci or synthetic$"):
        load_rows(dataset, data, local)


def test_source_of_another_data_set_is_a_choice_of_that_data_set(made_up, tmp_path):
    dataset, frame = made_up.orchard()
    rows = load_rows(dataset, "farm", tmp_path)
    assert (rows.source, rows.files) == ("farm", ())
    assert rows.frame.select(frame.columns).equals(frame)
    with pytest.raises(DataError, match="choose auto, farm or synthetic"):
        load_rows(dataset, "uci", tmp_path)


def test_row_that_breaks_the_schema_is_an_error_under_auto_too(dataset, local):
    content = CONTENTS["adult.data"].replace(b"Bachelors", b"Apprentice", 1)
    (local / "adult.data").write_bytes(content)
    first, second = dataset.files
    first = dataclasses.replace(first, bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
    with pytest.raises(DataError, match=r"adult\.data, line 1: unknown education: 'Apprentice'"):
        load_rows(dataclasses.replace(dataset, files=(first, second)), "auto", local)


def test_files_are_read_in_the_data_set_s_order(dataset, local):
    assert list(read_files(dataset, local).items()) == list(CONTENTS.items())


def test_description_for_the_manifest_says_what_was_read(dataset, local):
    real = prepare_rows(dataset, load_rows(dataset, "auto", local)).description
    assert (real.source, real.rows, real.training_rows, real.held_out_rows) == ("uci", 12, 8, 4)
    assert [file.name for file in real.files] == ["adult.data", "adult.test"]
    assert real.positive_fraction == 0.5
    synthetic = prepare_rows(dataset, load_rows(dataset, "synthetic", local)).description
    assert (synthetic.source, synthetic.files, synthetic.rows) == ("synthetic", (), 50)


def test_manifest_of_a_run_on_synthetic_rows_says_so(manifest):
    assert manifest.data.source == "synthetic"
    assert manifest.data.files == ()


def own_files(folder, *, sha256="", parse=lambda files: pl.DataFrame({"x": [1.0]})):
    """A data set of one's own file, which nobody offers for download."""
    return Dataset(
        name="mine", source="mine", features=(Numeric(name="x"),), target="y",
        files=(RemoteFile(name="mine.csv", sha256=sha256),), parse=parse,
    )  # fmt: skip


def test_a_file_of_one_s_own_that_is_absent_is_not_downloaded(tmp_path):
    with pytest.raises(DataError, match=r"mine\.csv is missing; put the file there, or name its folder with DATA_DIR="):
        load_rows(own_files(tmp_path), "auto", tmp_path)


def test_a_file_of_one_s_own_that_was_edited_is_never_to_be_deleted(tmp_path):
    (tmp_path / "mine.csv").write_bytes(b"edited")
    with pytest.raises(DataError) as raised:
        load_rows(own_files(tmp_path, sha256="0" * 64), "auto", tmp_path)
    assert hashlib.sha256(b"edited").hexdigest() in str(raised.value)
    assert "delete" not in str(raised.value)
    assert "move" not in str(raised.value)


def test_a_file_of_one_s_own_needs_no_digest_and_its_own_is_recorded(tmp_path):
    (tmp_path / "mine.csv").write_bytes(b"rows")
    (described,) = load_rows(own_files(tmp_path), "auto", tmp_path).files
    assert (described.name, described.bytes) == ("mine.csv", 4)
    assert described.sha256 == hashlib.sha256(b"rows").hexdigest()


@pytest.mark.parametrize(
    "convert", [lambda frame: frame.lazy(), lambda frame: pd.DataFrame(frame.to_dict(as_series=False))]
)
def test_a_lazy_and_a_pandas_frame_are_converted(tmp_path, convert):
    (tmp_path / "mine.csv").write_bytes(b"rows")
    frame = pl.DataFrame({"x": [1.5, None], "c": ["a", None]})
    rows = load_rows(own_files(tmp_path, parse=lambda _: convert(frame)), "auto", tmp_path)
    assert rows.frame.equals(frame)


def test_what_is_no_frame_is_told(tmp_path):
    (tmp_path / "mine.csv").write_bytes(b"rows")
    with pytest.raises(DataError, match="parse must return a polars DataFrame, not list"):
        load_rows(own_files(tmp_path, parse=lambda _: []), "auto", tmp_path)


def test_an_exception_in_parse_is_shown_as_the_user_s_own(tmp_path):
    (tmp_path / "mine.csv").write_bytes(b"rows")

    def parse(files):
        return files["other.csv"]

    line = parse.__code__.co_firstlineno + 1
    with pytest.raises(DataError, match=rf"mine: its parse raised KeyError: 'other\.csv' \({__file__}, line {line}\)"):
        load_rows(own_files(tmp_path, parse=parse), "auto", tmp_path)
