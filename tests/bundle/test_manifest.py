"""The manifest: what is written is what is read, and anything else is refused with a message that names the file."""

import json
import os
import re
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from bundle.errors import BundleError
from bundle.manifest import (
    FORMAT_VERSION,
    MAX_MANIFEST_BYTES,
    Feature,
    Manifest,
    decode_manifest,
    encode_manifest,
    find_manifest,
    read_manifest,
    utc_now,
)


def changed(manifest, **values):
    """The manifest's JSON with other values at the top level; `...` removes a key."""
    fields = {**json.loads(encode_manifest(manifest)), **values}
    return json.dumps({name: value for name, value in fields.items() if value is not ...}).encode()


def test_manifest_survives_writing_and_reading(manifest):
    assert decode_manifest(encode_manifest(manifest), "again.json") == manifest


def test_numbers_survive_exactly(manifest):
    again = decode_manifest(encode_manifest(manifest), "again.json")
    assert again.decision_threshold.hex() == manifest.decision_threshold.hex()
    assert again.metrics == manifest.metrics
    assert again.study.best_parameters == manifest.study.best_parameters


def test_json_is_indented_for_people(manifest):
    lines = encode_manifest(manifest).decode().splitlines()
    assert f'  "name": "{manifest.name}",' in lines
    assert lines[-1] == "}"


def test_unknown_keys_are_left_to_later_versions(manifest):
    assert decode_manifest(changed(manifest, remark="new"), "new.json") == manifest


@pytest.mark.parametrize("version", [0, 1, FORMAT_VERSION + 1, "1", None, 1.5])
def test_other_format_version_is_refused_whatever_the_rest(manifest, version):
    advice = "`make train` (or `make package`) makes a new one"
    message = re.escape(f"old.json: bundle format {version!r}, but this code reads {FORMAT_VERSION}; {advice}")
    with pytest.raises(BundleError, match=f"^{message}$"):
        decode_manifest(changed(manifest, format_version=version), "old.json")
    with pytest.raises(BundleError, match=f"^{message}$"):
        decode_manifest(json.dumps({"format_version": version}).encode(), "old.json")


def test_json_without_format_version_is_refused(manifest):
    with pytest.raises(BundleError, match=r"other\.json: bundle format None"):
        decode_manifest(b'{"hello": "world"}', "other.json")
    with pytest.raises(BundleError, match=r"other\.json: bundle format None"):
        decode_manifest(changed(manifest, format_version=...), "other.json")


@pytest.mark.parametrize("content", [b"", b"not json", b"[1, 2]", b"null", b'"text"', b"\xff\xfe\x00", b"{} {}", b"{"])
def test_what_is_not_a_json_object_is_refused(content):
    with pytest.raises(BundleError, match=r"^broken\.json: not a valid manifest: "):
        decode_manifest(content, "broken.json")


def test_every_truncation_is_refused(manifest):
    content = encode_manifest(manifest)
    for length in range(0, len(content.rstrip()), 97):
        with pytest.raises(BundleError, match=r"^cut\.json: "):
            decode_manifest(content[:length], "cut.json")


@pytest.mark.parametrize(
    ("values", "place"),
    [
        ({"name": 7}, "$.name"),
        ({"name": ...}, "`name`"),
        ({"features": "age"}, "$.features"),
        ({"features": [{"name": "age", "kind": "cardinal", "nullable": False, "example": 1}]}, "$.features[0].kind"),
        ({"features": [{"name": "age"}]}, "$.features[0]"),
        ({"classes": ["only one"]}, "1 classes are not those of binary_classification"),
        ({"decision_threshold": "0.5"}, "$.decision_threshold"),
        ({"decision_threshold": None}, "decision_threshold belong to binary_classification"),
        ({"task": "ranking"}, "$.task"),
        ({"task": "regression"}, "2 classes are not those of regression"),
        ({"artifacts": {"exe": {"file": "x", "bytes": 1, "sha256": ""}}}, "$.artifacts"),
        ({"artifacts": {"onnx": {"file": "x", "bytes": "many", "sha256": ""}}}, "$.artifacts[...].bytes"),
        ({"created": "yesterday"}, "$.created"),
        ({"data": 7}, "$.data"),
        ({"tokens": None}, "$.tokens"),
        ({"expected": ...}, "`expected`"),
    ],
)
def test_wrong_or_missing_value_is_named_with_its_place(manifest, values, place):
    with pytest.raises(BundleError, match=rf"^wrong\.json: not a valid manifest: .*{re.escape(place)}"):
        decode_manifest(changed(manifest, **values), "wrong.json")


def test_manifest_in_a_folder_is_found_by_being_the_only_one(manifest, tmp_path):
    (tmp_path / "any name.json").write_bytes(encode_manifest(manifest))
    (tmp_path / "README.md").write_text("not a manifest")
    assert find_manifest(tmp_path) == tmp_path / "any name.json"
    assert read_manifest(tmp_path) == manifest


@pytest.mark.parametrize("folder", ["empty", "not there", "file"])
def test_folder_without_manifest_says_how_to_get_one(tmp_path, folder):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("{}")
    with pytest.raises(BundleError, match=rf"{folder}: no model bundle here; `make train` publishes one"):
        read_manifest(tmp_path / folder)


def test_two_manifests_are_refused_and_named(manifest, tmp_path):
    for name in ("b.json", "a.json"):
        (tmp_path / name).write_bytes(encode_manifest(manifest))
    with pytest.raises(BundleError, match=r"more than one manifest \(a\.json, b\.json\); keep one model in a folder"):
        read_manifest(tmp_path)


def test_manifest_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "model.json").mkdir()
    with pytest.raises(BundleError, match=r"model\.json: Is a directory"):
        read_manifest(tmp_path)


def test_broken_manifest_in_a_folder_is_named_with_its_path(tmp_path):
    (tmp_path / "model.json").write_text("{")
    with pytest.raises(BundleError, match=f"^{tmp_path / 'model.json'}: not a valid manifest"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("content", [b'{"a":' * 100_000, b'{"format_version":' + b"[" * 2000 + b"]" * 2000 + b"}"])
def test_manifest_of_nested_brackets_is_not_a_valid_one(tmp_path, content):
    (tmp_path / "model.json").write_bytes(content)
    with pytest.raises(BundleError, match=f"^{tmp_path / 'model.json'}: not a valid manifest: nested too deeply"):
        read_manifest(tmp_path)


def test_manifest_that_is_too_long_is_not_read(tmp_path):
    with (tmp_path / "model.json").open("wb") as stream:
        stream.truncate(MAX_MANIFEST_BYTES + 1)
    with pytest.raises(BundleError, match=r"model\.json: 16,777,217 bytes, but at most 16,777,216 are read"):
        read_manifest(tmp_path)


def test_manifest_that_is_no_regular_file_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "model.json")
    with pytest.raises(BundleError, match=r"model\.json: not a regular file"):
        read_manifest(tmp_path)


def test_columns_are_grouped_in_feature_order(manifest):
    kinds = {"d": "nominal", "c": "date", "b": "ordinal", "a": "numeric", "e": "nominal", "f": "boolean"}
    features = tuple(Feature(name=name, kind=kind, nullable=True, example=None) for name, kind in kinds.items())
    mixed = msgspec.structs.replace(manifest, features=features)
    assert [feature.name for feature in mixed.categorical] == ["d", "b", "e"]
    assert [feature.name for feature in mixed.numeric] == ["c", "a", "f"]
    assert mixed.categorical is mixed.categorical
    assert decode_manifest(encode_manifest(mixed), "mixed.json").categorical == mixed.categorical


def test_trained_manifest_groups_all_its_features(manifest):
    names = {feature.name for feature in manifest.features}
    assert {feature.name for feature in (*manifest.categorical, *manifest.numeric)} == names
    assert len(manifest.categorical) + len(manifest.numeric) == len(names)


def test_manifest_cannot_be_changed(manifest):
    with pytest.raises(AttributeError):
        manifest.version = "other"


def test_creation_time_is_utc_to_the_second():
    now = utc_now()
    assert now.tzinfo is UTC
    assert now.microsecond == 0
    assert abs((datetime.now(UTC) - now).total_seconds()) < 60


DOCUMENT = Path(__file__).resolve().parents[2] / "docs/bundle.md"


@pytest.mark.parametrize("place", range(3))
def test_documented_examples_are_valid(place):
    example = re.findall(r"```json\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)[place]
    manifest = decode_manifest(example.encode(), "docs/bundle.md")
    assert decode_manifest(encode_manifest(manifest), "again.json") == manifest


def test_document_names_every_field():
    documented = set(re.findall(r"`(\w+)`", DOCUMENT.read_text(encoding="utf-8")))
    assert {*Manifest.__struct_fields__, *Feature.__struct_fields__} <= documented


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"classes": [1, "2"]}, "the classes must differ, and be of one type"),
        ({"classes": ["a", "a"]}, "the classes must differ, and be of one type"),
        ({"positive_class": "other"}, "positive_class 'other' is none of the classes"),
        ({"positive_class": None}, "positive_class and decision_threshold belong to binary_classification"),
        ({"tokens": {"missing": "x", "unseen": "x"}}, "the tokens for missing and unseen categories are the same"),
        ({"tokens": {"missing": "Private", "unseen": "x"}}, "'workclass' has a token as a category: ['Private']"),
        ({"expected": {"prediction": 0, "probabilities": [1.0]}}, "needs a probability for every class"),
        ({"features": []}, "there must be features, and their names must differ"),
    ],
)
def test_parts_that_contradict_each_other_are_refused(manifest, values, message):
    with pytest.raises(BundleError, match=f"not a valid manifest: .*{re.escape(message)}"):
        decode_manifest(changed(manifest, **values), "wrong.json")


@pytest.mark.parametrize(
    ("feature", "message"),
    [
        ({"name": ""}, "a feature has no name"),
        ({"example": None}, "'f' is not nullable, but its example is null"),
        ({"categories": ["a"]}, "'f' is numeric, and can't have categories"),
        ({"kind": "boolean", "integer": True}, "'f' is boolean, and can't be integer"),
        ({"kind": "nominal", "open": True, "nullable": True}, "'f' is open: it must be nominal, not nullable"),
    ],
)
def test_feature_that_contradicts_itself_is_refused(manifest, feature, message):
    whole = {"name": "f", "kind": "numeric", "nullable": False, "example": 1, **feature}
    with pytest.raises(BundleError, match=re.escape(message)):
        decode_manifest(changed(manifest, features=[whole, {**whole, "name": "g"}]), "wrong.json")


@pytest.mark.parametrize(
    "file", ["../m.onnx", "/m.onnx", "a/../../m.onnx", "a//m.onnx", "./m.onnx", "a\\m.onnx", "m\0.onnx", "", "a/"]
)
def test_artifact_outside_the_bundle_is_refused(manifest, file):
    artifact = {"file": file, "bytes": 1, "sha256": ""}
    with pytest.raises(BundleError, match="is not a relative path inside the bundle"):
        decode_manifest(changed(manifest, artifacts={"onnx": artifact}), "wrong.json")
