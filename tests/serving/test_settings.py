import contextlib
from pathlib import Path

import pytest

from bundle.cpus import usable_cpus
from serving.api_keys import ApiKeys
from serving.errors import Unauthorized
from serving.settings import KEY_DIGESTS, SettingsError, read_settings


def test_a_port_for_grpc_is_for_the_rust_service():
    assert read_settings({"SERVE_GRPC_PORT": " "}, default_port=7).port == 7
    with pytest.raises(SettingsError, match="SERVE_GRPC_PORT: only the Rust service speaks gRPC"):
        read_settings({"SERVE_GRPC_PORT": "8081"}, default_port=7)


def test_without_variables_the_defaults_hold():
    settings = read_settings({}, default_port=8001)
    assert (settings.model_dir, settings.host, settings.port) == (Path("models"), "127.0.0.1", 8001)
    assert settings.workers == usable_cpus()


def test_variables_are_read_and_cast():
    environment = {"SERVE_MODEL_DIR": "/m", "SERVE_PORT": "9", "SERVE_WORKERS": "3", "SERVE_LOG_LEVEL": "WARNING"}
    settings = read_settings(environment, default_port=1)
    assert (settings.model_dir, settings.port, settings.workers, settings.log_level) == (Path("/m"), 9, 3, "warning")


def test_an_empty_variable_is_as_good_as_none():
    assert read_settings({"SERVE_PORT": "", "SERVE_HOST": " "}, default_port=7).port == 7


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SERVE_PORT", "x"),
        ("SERVE_PORT", "-1"),
        ("SERVE_PORT", "65536"),
        ("SERVE_PORT", "1.5"),
        ("SERVE_PORT", "٣"),
        ("SERVE_WORKERS", "0"),
        ("SERVE_MAX_BODY_BYTES", "1"),
        ("SERVE_LOG_LEVEL", "loud"),
        ("SERVE_MANIFEST_SHA256", "ab" * 31),
        ("SERVE_MANIFEST_SHA256", "xy" * 32),
        ("SERVE_DOCS", "no"),
        ("SERVE_REQUEST_SECONDS", "0"),
        ("SERVE_MAX_CONNECTIONS", "0"),
        ("SERVE_MAX_BUFFERED_BYTES", "1024"),
        ("SERVE_RECORD_BYTES", "1048575"),
        ("SERVE_RECORD_DIR", "/dev/null"),
        ("SERVE_RECORD_FIELDS", "[1]"),
        ("SERVE_RECORD_FIELDS", '["a"'),
        ("SERVE_RECORD_SAMPLE", "1e-2"),
        ("SERVE_RECORD_SAMPLE", "1.01"),
        ("SERVE_RECORD_SAMPLE", "٣"),
    ],
)
def test_a_wrong_value_is_refused_by_name(name: str, value: str):
    with pytest.raises(SettingsError, match=name) as raised:
        read_settings({name: value}, default_port=1)
    assert repr(value) in str(raised.value)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("SERVE_API_KEY", "too-short", "at least 16"),
        ("SERVE_API_KEY", "with space 0123456789", "visible ASCII"),
        ("SERVE_API_KEY", "schlüssel-0123456789", "visible ASCII"),
    ],
)
def test_a_wrong_key_is_refused_without_being_told(name: str, value: str, reason: str):
    with pytest.raises(SettingsError, match=f"{name}: .*{reason}") as raised:
        read_settings({name: value}, default_port=1)
    assert value not in str(raised.value)
    assert raised.value.__cause__ is None


def test_a_file_of_keys_must_be_there_and_have_keys(tmp_path: Path):
    file = tmp_path / "keys"
    environment = {"SERVE_API_KEY_FILE": str(file)}
    for content, reason in (
        (None, "No such file"),
        ("\n \n", "no key in it"),
        ("short", "at least 16"),
        ("ü", "ASCII"),
    ):
        if content is not None:
            file.write_text(content, encoding="utf-8")
        with pytest.raises(SettingsError, match=f"SERVE_API_KEY_FILE='{file}': .*{reason}"):
            read_settings(environment, default_port=1)
    file.write_text("a-key-0123456789\r\n")
    assert read_settings(environment, default_port=1).api_keys
    with pytest.raises(SettingsError, match="only one of them"):
        read_settings({**environment, "SERVE_API_KEY": "a-key-0123456789"}, default_port=1)


def test_no_dump_of_the_settings_has_the_key_in_it():
    settings = read_settings({"SERVE_API_KEY": "a-key-0123456789"}, default_port=1)
    assert settings.api_keys
    assert "a-key" not in repr(settings)


@pytest.mark.parametrize(
    ("fields", "names"),
    [("", None), ("[]", ()), ("age, sex,", ("age", "sex")), ('["a, b", "c"]', ("a, b", "c"))],
)
def test_the_record_is_off_without_a_folder_and_has_the_fields_that_are_named(fields: str, names: object):
    environment = {"SERVE_RECORD_FIELDS": fields, "SERVE_RECORD_SAMPLE": ".5"}
    assert read_settings(environment, default_port=1).record is None
    record = read_settings({**environment, "SERVE_RECORD_DIR": "not/there/yet"}, default_port=1).record
    assert record is not None
    assert (record.folder, record.sample, record.most_bytes) == (Path("not/there/yet"), 0.5, 1 << 30)
    assert record.fields == names


def test_a_misspelt_variable_is_refused():
    with pytest.raises(SettingsError, match="SERVE_WORKER;"):
        read_settings({"SERVE_WORKER": "2"}, default_port=1)


@pytest.mark.parametrize(("quota", "cpus"), [("50000 100000", 1), ("100000 100000", 1), ("max 100000", None)])
def test_the_cgroup_quota_limits_the_cpus(tmp_path: Path, quota: str, cpus: int | None):
    (tmp_path / "cpu.max").write_text(quota)
    unlimited = usable_cpus(tmp_path / "nothing")
    assert usable_cpus(tmp_path) == (cpus or unlimited)


def test_the_quota_of_an_old_cgroup_counts_too(tmp_path: Path):
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text("150000")
    (tmp_path / "cpu/cpu.cfs_period_us").write_text("100000")
    assert usable_cpus(tmp_path) == 1


def test_a_quota_above_the_affinity_does_not_add_cpus(tmp_path: Path):
    (tmp_path / "cpu.max").write_text("99900000 100000")
    assert usable_cpus(tmp_path) == usable_cpus(tmp_path / "nothing")


def test_keys_of_the_parent_take_the_place_of_the_file(tmp_path: Path):
    keys = ApiKeys(["a-key-0123456789", "b-key-0123456789"])
    (tmp_path / "digests").write_text(keys.digests())
    assert "a-key" not in keys.digests()
    environment = {KEY_DIGESTS: str(tmp_path / "digests"), "SERVE_API_KEY_FILE": str(tmp_path / "nowhere")}
    found = read_settings(environment, default_port=1).api_keys
    for key, opens in (("a-key-0123456789", True), ("b-key-0123456789", True), ("c-key-0123456789", False)):
        scope = {"path": "/", "headers": [(b"authorization", f"Bearer {key}".encode())]}
        with contextlib.nullcontext() if opens else pytest.raises(Unauthorized):
            found.check(scope)
    (tmp_path / "digests").write_text("")
    assert not read_settings(environment, default_port=1).api_keys


def test_a_file_of_keys_that_has_no_end_is_refused():
    with pytest.raises(SettingsError, match="SERVE_API_KEY_FILE='/dev/zero': not a regular file"):
        read_settings({"SERVE_API_KEY_FILE": "/dev/zero"}, default_port=1)
