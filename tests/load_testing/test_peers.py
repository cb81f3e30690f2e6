"""The services that ours are measured against: as usually written, and other servers of models."""

import pytest

from load_testing import environments, services
from load_testing.benchmark import choose_services
from load_testing.cpus import available_cpus
from load_testing.environments import UnreachableError
from load_testing.payloads import read_reference
from load_testing.services import PEERS, known_services, peer_service, running
from load_testing.skew_measurement import measure_skew
from tests.foreign import python_of

BASELINES = ("tutorial-pickle", "tutorial-onnx", "tutorial-onnx-one-thread")


@pytest.mark.slow
@pytest.mark.parametrize("name", [*BASELINES, *PEERS])
def test_what_ours_is_measured_against_gives_the_right_answers(name, models):
    if name in PEERS:
        python_of(name)  # skips the test where it can't be made
    spec = peer_service(name) if name in PEERS else known_services(baselines=True)[name]
    with running(spec, models, available_cpus(), workers=1) as service:
        assert all(row.clean for row in measure_skew(name, service.url, read_reference(models)))


def test_peers_are_measured_when_they_are_asked_for_and_told_where_they_cannot_be(monkeypatch, stub, manifest):
    monkeypatch.setattr(services, "known_services", lambda **_: {name: stub(name) for name in ("onnx", "axum")})
    monkeypatch.setattr(services, "peer_service", stub)
    assert [spec.name for spec in choose_services([], manifest)[0]] == ["onnx", "axum"]
    assert [spec.name for spec in choose_services([], manifest, peers=True)[0]] == ["onnx", "axum", *PEERS]
    assert [spec.name for spec in choose_services(["litserve", "onnx"], manifest)[0]] == ["onnx", "litserve"]

    def unreachable(name):
        raise UnreachableError("no package registry can be reached")

    monkeypatch.setattr(services, "peer_service", unreachable)
    chosen, left_out = choose_services([], manifest, peers=True)
    assert [spec.name for spec in chosen] == ["onnx", "axum"]
    assert left_out == tuple(f"{name}: no package registry can be reached" for name in sorted(PEERS))


@pytest.mark.parametrize(
    ("script", "error", "message"),
    [
        ("mkdir -p $1/bin; touch $1/.ready", None, ""),
        ("echo 'error: Failed to fetch' >&2; exit 1", UnreachableError, "no package registry can be reached"),
        ("echo 'hash mismatch' >&2; exit 1", OSError, "hash mismatch"),
    ],
)
def test_environment_is_made_once_and_a_failure_says_why(script, error, message, tmp_path, monkeypatch):
    monkeypatch.setattr(environments, "REQUIREMENTS", tmp_path)
    monkeypatch.setattr(environments.sys, "prefix", str(tmp_path))
    (tmp_path / "other.lock").write_text("a==1")
    install = tmp_path / "install.sh"
    install.write_text(f"#!/bin/sh\n{script}\n")
    install.chmod(0o755)
    if error is not None:
        with pytest.raises(error, match=message):
            environments.python_of("other")
        return
    python = environments.python_of("other")
    install.unlink()
    assert environments.python_of("other") == python
