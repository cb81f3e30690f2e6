"""The InferenceService: what KServe takes of it, and what only the services' own code and files can say.

KServe has the fields of a pod in the predictor, with fields of its own beside them: the pod is held against the schema
that Kubernetes publishes, the whole against the models of `serving.kserve.io/v1beta1` in KServe's own package.
"""

import json
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from serving.api_keys import OPEN_PATHS
from serving.settings import read_settings
from tests.docker.engine import PORTS, ROOT
from tests.foreign import python_of

FOLDER = ROOT / "docker/k8s"
OF_THE_COMPONENT = {
    "minReplicas", "maxReplicas", "scaleTarget", "scaleMetric", "containerConcurrency", "timeout",
    "canaryTrafficPercent", "logger", "batcher", "labels", "annotations", "deploymentStrategy",
}  # fmt: skip
"""Fields of a component that are none of a pod."""


def document(path: str) -> dict[str, Any]:
    return yaml.safe_load((FOLDER / path).read_text(encoding="utf-8"))


@pytest.fixture
def service() -> dict[str, Any]:
    return document("kserve/inference-service.yaml")


@pytest.fixture
def pod(service: dict[str, Any]) -> dict[str, Any]:
    predictor = service["spec"]["predictor"]
    return {key: value for key, value in predictor.items() if key not in OF_THE_COMPONENT}


def validate(pod: dict[str, Any]) -> None:
    resource = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "predictor"}, "spec": pod}
    kubernetes_validate.validate(resource, "1.30", strict=True)


def test_it_is_an_inference_service_with_a_predictor_of_its_own(service: dict[str, Any]):
    assert (service["apiVersion"], service["kind"]) == ("serving.kserve.io/v1beta1", "InferenceService")
    assert service.keys() == {"apiVersion", "kind", "metadata", "spec"}
    assert service["spec"].keys() == {"predictor"}
    replicas = service["spec"]["predictor"]
    assert 1 <= replicas["minReplicas"] <= replicas["maxReplicas"]


def test_its_predictor_is_a_pod(pod: dict[str, Any]):
    validate(pod)
    pod["containers"][0]["readinesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError, match="readinesProbe"):
        validate(pod)


@pytest.mark.slow
def test_kserve_s_own_models_have_all_its_fields(service: dict[str, Any]):
    assert unknown_fields(service) == []
    predictor = service["spec"]["predictor"]
    predictor["maxReplica"] = 4
    predictor["containers"][0]["readinessProbe"]["httpGet"]["url"] = "/"
    assert unknown_fields(service) == [
        "InferenceService.spec.predictor.containers.readinessProbe.httpGet.url",
        "InferenceService.spec.predictor.maxReplica",
    ]


def unknown_fields(service: dict[str, Any]) -> list[str]:
    command = [python_of("kserve"), Path(__file__).with_name("kserve_fields.py")]
    done = subprocess.run(command, input=json.dumps(service), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout)
    return sorted(found)


def test_kserve_finds_the_container_and_its_port(pod: dict[str, Any]):
    (container,) = pod["containers"]
    assert (container["name"], container["image"]) == ("kserve-container", "train-to-serve/onnx")
    assert [port["containerPort"] for port in container["ports"]] == [PORTS["onnx"]]


def test_its_probes_need_no_key_and_its_settings_are_the_service_s(pod: dict[str, Any]):
    (container,) = pod["containers"]
    probes = [container[f"{name}Probe"]["httpGet"] for name in ("readiness", "liveness")]
    assert {probe["path"] for probe in probes} == {path for path in OPEN_PATHS if path.startswith("/v2/")}
    assert {probe["port"] for probe in probes} == {PORTS["onnx"]}
    settings = read_settings({one["name"]: one["value"] for one in container["env"]}, default_port=PORTS["onnx"])
    assert str(settings.model_dir) == container["volumeMounts"][0]["mountPath"]


def test_its_pod_may_do_no_more_than_that_of_the_deployment(pod: dict[str, Any]):
    other = document("base/deployment.yaml")["spec"]["template"]["spec"]
    (container,), (its,) = pod["containers"], other["containers"]
    for field in ("securityContext", "automountServiceAccountToken", "enableServiceLinks", "volumes"):
        assert pod[field] == other[field], field
    for field in ("securityContext", "resources", "volumeMounts"):
        assert container[field] == its[field], field
