"""All or nothing: whatever fails, and whenever the run is killed, `models` holds one whole bundle."""

import contextlib
import errno
import fcntl
import itertools
import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from bundle.artifacts import read_artifact
from bundle.errors import BundleError
from bundle.manifest import encode_manifest, read_manifest
from training.export import publish as module
from training.export.publish import SUFFIXES, publish, stage

ROOT = Path(__file__).resolve().parents[2]
NAME = "orchard"


def contents(text):
    return {kind: f"{kind} {text} ".encode() * 100 for kind in SUFFIXES}


@pytest.fixture
def describe(manifest):
    """Makes a manifest of a version, as training does."""

    def make(version, artifacts):
        return msgspec.structs.replace(manifest, name=NAME, version=version, artifacts=artifacts)

    return make


@pytest.fixture
def put_contents(describe, tmp_path):
    """Publish these contents, as training does."""

    def make(artifacts, models=tmp_path):
        staged = stage(NAME, artifacts)
        manifest = describe(staged.version, staged.artifacts)
        publish(manifest, staged, models)
        return manifest

    return make


@pytest.fixture
def put(put_contents, tmp_path):
    """Publish the contents that stand for `text`."""
    return lambda text, models=tmp_path: put_contents(contents(text), models)


def published(models):
    """What `models` holds, read as a service reads it: every artifact is checked against the manifest."""
    manifest = read_manifest(models)
    return {kind: read_artifact(manifest, kind, models) for kind in manifest.artifacts}


def leftovers(models):
    return [path.name for path in models.glob(".pending-*")]


def test_bundle_reads_back_as_it_was_published(put, tmp_path):
    models = tmp_path / "not" / "yet"
    manifest = put("first", models)
    assert read_manifest(models) == manifest
    assert published(models) == contents("first")
    assert leftovers(models) == []


def test_artifacts_have_the_documented_names(put, tmp_path):
    manifest = put("first")
    folder = f"{NAME}-{manifest.version}"
    assert {kind: artifact.file for kind, artifact in manifest.artifacts.items()} == {
        "onnx": f"{folder}/orchard.onnx",
        "onnx_packed": f"{folder}/orchard.packed.onnx",
        "pickle": f"{folder}/orchard.pkl",
        "reference": f"{folder}/orchard.reference.parquet",
    }
    assert (tmp_path / "orchard.json").is_file()


def test_new_bundle_replaces_the_old_one(put, tmp_path):
    put("first")
    manifest = put("second")
    assert read_manifest(tmp_path) == manifest
    assert published(tmp_path) == contents("second")


def test_version_is_that_of_the_content(put, tmp_path):
    first = put("same", tmp_path / "a").version
    assert put("same", tmp_path / "b").version == first
    assert put("same", tmp_path / "a").version == first
    assert put("other", tmp_path / "a").version != first


@pytest.mark.parametrize("kind", SUFFIXES)
def test_change_of_any_artifact_is_another_version(put_contents, kind):
    before = put_contents(contents("same")).version
    changed = {**contents("same"), kind: contents("same")[kind] + b"."}
    assert put_contents(changed).version != before


def test_artifacts_that_swap_their_content_are_another_version(put_contents):
    before = put_contents(contents("same")).version
    swapped = contents("same")
    swapped["onnx"], swapped["pickle"] = swapped["pickle"], swapped["onnx"]
    assert put_contents(swapped).version != before


def test_publishing_again_mends_a_damaged_version(put, tmp_path):
    manifest = put("same")
    (tmp_path / manifest.artifacts["onnx"].file).write_bytes(b"damaged")
    (tmp_path / manifest.artifacts["pickle"].file).unlink()
    put("same")
    assert published(tmp_path) == contents("same")
    assert leftovers(tmp_path) == []


def versions(models):
    return {path.name.removeprefix(f"{NAME}-") for path in models.iterdir() if path.is_dir()}


def test_previous_version_is_kept_and_older_ones_are_removed(put, tmp_path):
    first, second, third = (put(text).version for text in ("first", "second", "third"))
    assert versions(tmp_path) == {second, third}
    put("third")
    assert versions(tmp_path) == {second, third}
    assert put("first").version == first
    assert versions(tmp_path) == {third, first}


def test_version_that_a_killed_run_left_is_not_taken_for_the_previous_one(put, describe, tmp_path, monkeypatch):
    first = put("first").version
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", failing(Path.replace, at=1, error=OSError("killed")))
        with pytest.raises(OSError, match="killed"):
            put("second")
    assert len(versions(tmp_path)) == 2
    third = put("third").version
    assert versions(tmp_path) == {first, third}


def test_what_killed_runs_left_is_removed(put, tmp_path):
    (tmp_path / ".pending-killed" / "orchard-1").mkdir(parents=True)
    put("first")
    assert leftovers(tmp_path) == []


def test_other_files_of_the_folder_stay(put, tmp_path):
    (tmp_path / "README.md").write_text("mine")
    (tmp_path / "apples-1").mkdir()
    put("first")
    put("second")
    put("third")
    assert (tmp_path / "README.md").read_text() == "mine"
    assert (tmp_path / "apples-1").is_dir()


def test_plain_names_link_to_the_current_version(put, tmp_path):
    for text in ("first", "second"):
        manifest = put(text)
        for kind, suffix in SUFFIXES.items():
            link = tmp_path / f"{NAME}{suffix}"
            assert link.is_symlink()
            assert link.readlink() == Path(manifest.artifacts[kind].file)
            assert link.read_bytes() == contents(text)[kind]


def test_file_system_without_links_is_good_enough(put, tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "symlink_to", failing(Path.symlink_to, at=1, error=OSError(errno.EPERM, "no links")))
    put("first")
    assert published(tmp_path) == contents("first")


def test_others_can_read_whatever_the_umask(put, tmp_path):
    before = os.umask(0o077)
    try:
        put("first")
    finally:
        os.umask(before)
    for path in tmp_path.rglob("*"):
        mode = path.stat().st_mode & 0o777
        assert mode == (0o755 if path.is_dir() else 0o644), path


def failing(function, *, at, error):
    """`function`, which raises `error` instead of its `at`-th call. `at=0`: never, calls are counted only."""
    calls = []

    def stand_in(*arguments, **keywords):
        calls.append(1)
        if len(calls) == at:
            raise error
        return function(*arguments, **keywords)

    stand_in.calls = calls
    return stand_in


OPERATIONS = [
    (module.os, "fsync"),
    (module.tempfile, "mkdtemp"),
    (Path, "open"),
    (Path, "mkdir"),
    (Path, "chmod"),
    (Path, "rename"),
    (Path, "replace"),
    (Path, "read_bytes"),
    (fcntl, "flock"),
    (module, "read_artifact"),
]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()], ids=type)
@pytest.mark.parametrize(("owner", "name"), OPERATIONS, ids=[name for _, name in OPERATIONS])
def test_failure_of_any_file_operation_leaves_one_whole_bundle(put, tmp_path, monkeypatch, owner, name, error):
    """Every single call of the operation fails once: the first, the second, ... until a run needs no more of them."""
    for at in itertools.count(1):
        put("old")
        stand_in = failing(getattr(owner, name), at=at, error=error)
        with monkeypatch.context() as patch, contextlib.suppress(type(error), BundleError):
            patch.setattr(owner, name, stand_in)
            put("new")
        assert published(tmp_path) in (contents("old"), contents("new"))
        assert leftovers(tmp_path) == []
        if len(stand_in.calls) < at:
            break
    assert at > 1
    assert published(tmp_path) == contents("new")


def fill_the_disk(patch):
    full = OSError(errno.ENOSPC, "No space left on device")
    patch.setattr(module.os, "fsync", failing(os.fsync, at=3, error=full))


def lose_bytes(patch):
    write = module._write
    patch.setattr(module, "_write", lambda path, content: write(path, content[:-1]))


def lose_bytes_of_the_pickle(patch):
    write = module._write
    patch.setattr(module, "_write", lambda path, content: write(path, content[: -(path.suffix == ".pkl") or None]))


def change_the_manifest(patch):
    patch.setattr(
        module,
        "encode_manifest",
        lambda manifest: encode_manifest(manifest).replace(b"Age in years", b"Age in months", 1),
    )


def break_renaming_the_folder(patch):
    patch.setattr(Path, "rename", failing(Path.rename, at=1, error=OSError(errno.EIO, "Input/output error")))


def break_replacing_the_manifest(patch):
    patch.setattr(Path, "replace", failing(Path.replace, at=1, error=OSError(errno.EACCES, "Permission denied")))


FAILURES = [
    (fill_the_disk, OSError, "No space left"),
    (lose_bytes, BundleError, "manifest"),
    (lose_bytes_of_the_pickle, BundleError, r"orchard\.pkl: SHA-256 .* differs from the manifest's"),
    (change_the_manifest, BundleError, r"orchard\.json: the manifest does not read back"),
    (break_renaming_the_folder, OSError, "Input/output error"),
    (break_replacing_the_manifest, OSError, "Permission denied"),
]


@pytest.mark.parametrize("earlier", [True, False])
@pytest.mark.parametrize(("broken", "error", "message"), FAILURES, ids=[broken.__name__ for broken, *_ in FAILURES])
def test_failure_before_the_manifest_is_in_place_changes_nothing(
    put, tmp_path, monkeypatch, broken, error, message, earlier
):
    if earlier:
        put("old")
    with monkeypatch.context() as patch:
        broken(patch)
        with pytest.raises(error, match=message):
            put("new")
    if earlier:
        assert published(tmp_path) == contents("old")
    else:
        with pytest.raises(BundleError, match="no model bundle here"):
            read_manifest(tmp_path)
    assert leftovers(tmp_path) == []
    put("new")
    assert published(tmp_path) == contents("new")


def test_models_that_is_a_file_is_an_error(put, tmp_path):
    (tmp_path / "models").write_text("mine")
    with pytest.raises(OSError, match="File exists"):
        put("first", tmp_path / "models")
    assert (tmp_path / "models").read_text() == "mine"


def test_file_that_does_not_fit_on_the_disk_changes_nothing(put, put_contents, tmp_path):
    """The operating system itself refuses to write on: a limit on file sizes stands for the full disk."""
    put("old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    large = {**contents("new"), "pickle": b"x" * 200_000}
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            put_contents(large)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert published(tmp_path) == contents("old")
    assert leftovers(tmp_path) == []


PUBLISH_FOREVER = """
import itertools, sys
from pathlib import Path
import msgspec
from bundle.manifest import decode_manifest
from training.export.publish import SUFFIXES, publish, stage

models = Path(sys.argv[1])
manifest = decode_manifest(sys.stdin.buffer.read(), "stdin")

for number in itertools.count():
    contents = {kind: f"{kind} {number % 3} ".encode() * 20_000 for kind in SUFFIXES}
    staged = stage(manifest.name, contents)
    publish(msgspec.structs.replace(manifest, version=staged.version, artifacts=staged.artifacts), staged, models)
    if number == 0:
        print("published", flush=True)
"""


@pytest.mark.slow
def test_kill_at_any_moment_leaves_one_whole_bundle(put, describe, tmp_path):
    random_delays = random.Random(1)
    encoded = encode_manifest(describe("", {}))
    unfinished = 0
    for _ in range(25):
        process = subprocess.Popen(
            [sys.executable, "-c", PUBLISH_FOREVER, str(tmp_path)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        with process:
            process.stdin.write(encoded)
            process.stdin.close()
            assert process.stdout.readline() == b"published\n"
            time.sleep(random_delays.uniform(0, 0.03))
            process.kill()
        assert process.returncode == -signal.SIGKILL
        unfinished += bool(leftovers(tmp_path))
        artifacts = published(tmp_path)
        assert set(artifacts) == set(SUFFIXES)
        numbers = {content.split()[1] for content in artifacts.values()}
        assert len(numbers) == 1
        number = numbers.pop().decode()
        assert artifacts == {kind: f"{kind} {number} ".encode() * 20_000 for kind in SUFFIXES}
    assert unfinished  # the kills did come in the middle of something
    put("last")
    assert published(tmp_path) == contents("last")
    assert leftovers(tmp_path) == []
    assert len(versions(tmp_path)) == 2


PUBLISH_ROUNDS = """
import sys
from pathlib import Path
import msgspec
from bundle.artifacts import read_artifact
from bundle.lock import waiting_for
from bundle.manifest import decode_manifest, read_manifest
from training.export.publish import SUFFIXES, publish, stage

models, who, rounds = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
manifest = decode_manifest(sys.stdin.buffer.read(), "stdin")
for number in range(rounds):
    staged = stage(manifest.name, {kind: f"{kind} {who} {number} ".encode() * 1000 for kind in SUFFIXES})
    publish(msgspec.structs.replace(manifest, version=staged.version, artifacts=staged.artifacts), staged, models)
    with waiting_for(models / ".publishing"):  # between two publishes
        published = read_manifest(models)
        for kind in SUFFIXES:
            read_artifact(published, kind, models)
"""


@contextlib.contextmanager
def publishing(folder, manifest, rounds):
    """A process that publishes bundles of its own, and checks between any two publishes that the folder is whole."""
    command = [sys.executable, "-c", PUBLISH_ROUNDS, str(folder), str(time.monotonic_ns()), str(rounds)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            process.stdin.write(encode_manifest(manifest))
            process.stdin.close()
            yield process
        finally:
            process.kill()


def ended_well(process):
    error = process.stderr.read().decode()
    return process.wait(60) == 0 and not error


@pytest.mark.parametrize(("count", "rounds"), [(2, 10), pytest.param(4, 150, marks=pytest.mark.slow)])
def test_processes_that_publish_at_once_all_publish_a_whole_bundle(describe, tmp_path, count, rounds):
    with contextlib.ExitStack() as stack:
        processes = [stack.enter_context(publishing(tmp_path, describe("", {}), rounds)) for _ in range(count)]
        assert [ended_well(process) for process in processes] == [True] * count
    assert set(published(tmp_path)) == set(SUFFIXES)
    assert len(versions(tmp_path)) == 2
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.slow
def test_processes_that_are_killed_while_others_publish_keep_nobody_out(describe, put, tmp_path):
    delays = random.Random(2)
    with publishing(tmp_path, describe("", {}), 200) as going_on:
        for _ in range(10):
            with publishing(tmp_path, describe("", {}), 10_000) as victim:
                time.sleep(delays.uniform(0.3, 0.6))
                victim.kill()
        assert ended_well(going_on)
    put("last")
    assert published(tmp_path) == contents("last")
    assert leftovers(tmp_path) == []


def test_folder_that_another_model_took_meanwhile_is_refused(put, tmp_path):
    put("first")
    (tmp_path / f"{NAME}.json").rename(tmp_path / "apples.json")
    with pytest.raises(BundleError, match=r"another model \(apples\.json\); name another folder with MODELS="):
        put("second")
    assert not (tmp_path / f"{NAME}.json").exists()


def test_folders_that_are_no_version_stay_whatever_they_are_called(put, tmp_path):
    for name in (f"{NAME}-notes", f"{NAME}-0123456789abc", f"{NAME}-ABCDEF012345"):
        (tmp_path / name).mkdir()
    for text in ("first", "second", "third"):
        put(text)
    assert {f"{NAME}-notes", f"{NAME}-0123456789abc", f"{NAME}-ABCDEF012345"} <= {p.name for p in tmp_path.iterdir()}


def test_version_is_known_before_anything_is_written():
    staged = stage(NAME, contents("same"))
    assert {kind: artifact.file for kind, artifact in staged.artifacts.items()} == {
        kind: f"{NAME}-{staged.version}/{NAME}{suffix}" for kind, suffix in SUFFIXES.items()
    }
