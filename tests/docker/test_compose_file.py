"""What compose.yaml and the proxy's configuration say, without an engine."""

import re
from typing import Any

import pytest
import yaml

from serving.settings import NAMES, PREFIX, read_settings
from tests.docker.engine import PORTS, ROOT, SERVICES
from training.options import parse_options

CONFIGURATION = ROOT / "docker/haproxy.cfg"


def services() -> dict[str, dict[str, Any]]:
    return yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]


def seconds(name: str) -> float:
    """A time in the proxy's configuration."""
    (number, unit) = re.findall(rf"^ +{name} +(\d+)(ms|s)\b", CONFIGURATION.read_text(encoding="utf-8"), re.MULTILINE)[
        0
    ]
    return int(number) * (0.001 if unit == "ms" else 1)


def test_plain_up_starts_training_and_the_services():
    assert {name for name, service in services().items() if "profiles" not in service} == {"train", *SERVICES}


@pytest.mark.parametrize("name", services())
def test_a_container_has_no_more_rights_than_it_needs(name: str):
    service = services()[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["pids_limit"] == 512
    assert "cap_add" not in service or service["user"] == "0:0"


@pytest.mark.parametrize("name", SERVICES)
def test_every_setting_reaches_the_services(name: str):
    """But for those that say where in the container something is."""
    passed = {PREFIX + setting for setting in NAMES} - {"SERVE_HOST", "SERVE_PORT", "SERVE_MODEL_DIR"}
    if name != "axum":
        passed -= {"SERVE_GRPC_PORT"}
    assert services()[name]["environment"] == {setting: f"${{{setting}:-}}" for setting in passed}


def test_actions_of_the_workflow_are_pinned_by_digest():
    text = (ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8")
    used = re.findall(r"uses: (.*)", text)
    assert used
    assert all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v[\d.]+", action) for action in used)


def test_ports_are_published_on_loopback():
    published = [port for service in services().values() for port in service.get("ports", [])]
    assert len(published) == len(SERVICES) + 1
    assert all(port.startswith("${PUBLISH_HOST:-127.0.0.1}:") for port in published)


def test_the_study_can_be_reached_by_those_who_share_it_only():
    networks = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["networks"]
    database = services()["study-database"]
    assert "ports" not in database
    assert database["networks"] == ["study"]
    assert networks["study"] == {"internal": True}
    assert {name for name, service in services().items() if "study" in service.get("networks", [])} == {
        "study-database", "trainer", "tuner",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["train", "tuner", "trainer"])
def test_options_of_training_reach_it_as_those_of_make_do(name: str, monkeypatch: pytest.MonkeyPatch):
    """An empty one is the default; what is given is an option."""
    environment = services()[name]["environment"]
    options = environment["MAKE_VARIABLES"].split()
    assert {"TRIALS", "DATA", "DATASET", "CSV", "TARGET", "SEED"} <= {*options}
    assert all(environment[option] == f"${{{option}:-}}" for option in options)
    monkeypatch.setenv("MAKE_VARIABLES", " ".join(options))
    for option in options:
        monkeypatch.setenv(option, {"TRIALS": "7", "DATA": "synthetic"}.get(option, ""))
    monkeypatch.setattr("sys.argv", ["training", "train", "--if-missing"])
    given = parse_options()
    assert (given.trials, given.data, given.seed, given.if_missing) == (7, "synthetic", 42, True)


def test_the_folders_of_a_model_of_ones_own_are_mounted_everywhere():
    for service in services().values():
        for volume in service.get("volumes", []):
            folder = {"/app/models": "MODELS:-./models", "/app/reports": "REPORTS:-./reports"}.get(
                volume.split(":")[-1]
            )
            assert folder is None or volume.startswith(f"${{{folder}}}:")


def test_who_tunes_publishes_nothing():
    tuner, trainer = services()["tuner"], services()["trainer"]
    assert tuner["entrypoint"][-1] == "--tune-only"
    assert "entrypoint" not in trainer
    assert tuner["command"] == trainer["command"]
    assert tuner["environment"]["PGPASSWORD"] == services()["study-database"]["environment"]["POSTGRES_PASSWORD"]


def test_the_proxy_means_the_replicas():
    text = CONFIGURATION.read_text(encoding="utf-8")
    assert re.findall(r"server-template \S+ \S+ (\S+)", text) == [f"onnx:{PORTS['onnx']}"]
    assert re.findall(r"option httpchk GET (\S+)", text) == ["/health/ready"]
    assert re.findall(r"bind :(\d+)", text) == [services()["proxy"]["ports"][0].rpartition(":")[2]]
    assert re.findall(r"nbthread (\d+)", text) == [str(services()["proxy"]["cpus"])]


def test_the_proxy_waits_longer_than_the_services():
    settings = read_settings({}, default_port=PORTS["onnx"])
    assert seconds("timeout server") > settings.request_seconds
    assert seconds("hard-stop-after") < int(services()["proxy"]["stop_grace_period"].removesuffix("s"))
