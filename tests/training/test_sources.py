"""Where rows come from: the order of the sources, and what is never papered over."""

import dataclasses
import hashlib

import pytest

from bundle.training_record import SourceFile
from training import adult
from training.data.prepare import prepare_rows
from training.data.sources import load_rows, read_files
from training.dataset import RemoteFile
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
    ("change", "problem"),
    [
        (lambda content: content[:-1], "truncated"),
        (lambda _: b"", "truncated: 0 of"),
        (lambda content: content.replace(b"Cuba", b"Peru", 1), "SHA-256 is"),
        (lambda content: content + b"\n", "SHA-256 is"),
    ],
    ids=["truncated", "empty", "changed", "longer"],
)
def test_wrong_local_file_is_an_error_that_names_it(dataset, local, web, online, data, name, change, problem):
    wrong = change(CONTENTS[name])
    (local / name).write_bytes(wrong)
    with pytest.raises(DataError, match=f"^{local / name}: {problem}.*delete it to download it anew, or mend DATA_DIR"):
        load_rows(dataset, data, local)
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
