"""The Kubernetes manifests: what the published schemas say, and what only the services' own code and files can say."""

import re
import shutil
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from serving.settings import NAMES, PREFIX, read_settings
from tests.docker.engine import PORTS, ROOT, SERVICES, USER, run

K8S = ROOT / "docker/k8s"
RUST_SETTINGS = ROOT / "serving/axum/src/settings.rs"
BASE = "onnx"
OVERLAYS = [service for service in SERVICES if service != BASE]
OLDEST = "1.30"  # the first whose pods may sleep before they end without a feature gate

KEYED = """
resources: [{target}]
components: [{component}]
"""


def documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


def kustomization(folder: str) -> dict[str, Any]:
    (content,) = documents(K8S / folder / "kustomization.yaml")
    return content


def resources(folder: str) -> list[dict[str, Any]]:
    return [found for name in kustomization(folder)["resources"] for found in documents(K8S / folder / name)]


def base(kind: str) -> dict[str, Any]:
    (found,) = (resource for resource in resources("base") if resource["kind"] == kind)
    return found


def pod() -> dict[str, Any]:
    return base("Deployment")["spec"]["template"]["spec"]


def container() -> dict[str, Any]:
    (only,) = pod()["containers"]
    return only


def settings() -> dict[str, str]:
    lines = (K8S / "base/settings.env").read_text(encoding="utf-8").splitlines()
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: value for name, _, value in pairs}


def rendered(folder: Path) -> list[dict[str, Any]]:
    if shutil.which("kubectl") is None:
        pytest.skip("no kubectl, which renders kustomizations")
    return list(yaml.safe_load_all(run("kubectl", "kustomize", folder)))


def valid(resource: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(resource, version, strict=True)


@pytest.mark.parametrize("version", [OLDEST, kubernetes_validate.latest_version()])
@pytest.mark.parametrize("resource", [*resources("base"), *resources("bundle")], ids=lambda resource: resource["kind"])
def test_a_resource_is_what_its_schema_says(resource: dict[str, Any], version: str):
    valid(resource, version)


def test_the_schemas_know_a_misspelt_field():
    resource = base("Service")
    resource["spec"]["ports"][0]["targetport"] = "http"
    with pytest.raises(kubernetes_validate.ValidationError, match="targetport"):
        valid(resource, OLDEST)


@pytest.mark.parametrize("folder", ["base", "bundle", *(f"overlays/{name}" for name in OVERLAYS)])
def test_what_kustomize_makes_is_valid(folder: str):
    for resource in rendered(K8S / folder):
        valid(resource, OLDEST)


def test_the_selectors_mean_the_pods():
    labels = base("Deployment")["spec"]["template"]["metadata"]["labels"]
    assert base("Deployment")["spec"]["selector"]["matchLabels"] == labels
    assert base("Service")["spec"]["selector"] == labels
    assert base("PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == labels
    assert base("NetworkPolicy")["spec"]["podSelector"]["matchLabels"] == labels
    assert [spread["labelSelector"]["matchLabels"] for spread in pod()["topologySpreadConstraints"]] == [labels] * 2
    assert kustomization("base")["labels"][0]["pairs"] == labels


def test_the_autoscaler_means_the_deployment():
    target, deployment = base("HorizontalPodAutoscaler")["spec"]["scaleTargetRef"], base("Deployment")
    assert target == {key: deployment[key] for key in ("apiVersion", "kind")} | {"name": deployment["metadata"]["name"]}
    assert "replicas" not in deployment["spec"]


def test_everything_goes_by_the_name_of_the_port():
    (port,) = container()["ports"]
    assert port == {"name": "http", "containerPort": PORTS[BASE]}
    probes = {name: container()[f"{name}Probe"]["httpGet"] for name in ("startup", "readiness", "liveness")}
    paths = {"startup": "/health/ready", "readiness": "/health/ready", "liveness": "/health/live"}
    assert probes == {name: {"path": path, "port": "http"} for name, path in paths.items()}
    assert base("Service")["spec"]["ports"][0]["targetPort"] == "http"
    assert base("NetworkPolicy")["spec"]["ingress"][0]["ports"] == [{"protocol": "TCP", "port": "http"}]


def test_the_services_answer_the_probes():
    sources = [ROOT / "serving/app.py", *ROOT.glob("serving/axum/src/app.rs")]  # a copy may leave the Rust service out
    for source in sources:
        text = source.read_text(encoding="utf-8")
        assert '"/health/ready"' in text
        assert '"/health/live"' in text


def test_the_services_take_the_settings(tmp_path: Path):
    keys = tmp_path / "keys"
    keys.write_text("k" * 32 + "\n", encoding="ascii")
    (patch,) = documents(K8S / "components/api-key/patch.yaml")
    (variable,) = patch["spec"]["template"]["spec"]["containers"][0]["env"]
    environment = settings() | {variable["name"]: str(keys)}
    assert {name.removeprefix(PREFIX) for name in environment} <= set(NAMES)
    if RUST_SETTINGS.exists():
        assert environment.keys() <= set(re.findall('"(SERVE_[A-Z_0-9]+)"', RUST_SETTINGS.read_text(encoding="utf-8")))
    assert read_settings(environment, default_port=PORTS[BASE]).model_dir == Path(mount("bundle")["mountPath"])


def test_a_pod_has_the_time_to_finish_what_it_accepted():
    sleep = container()["lifecycle"]["preStop"]["sleep"]["seconds"]
    shutdown = read_settings(settings(), default_port=PORTS[BASE]).shutdown_seconds
    assert pod()["terminationGracePeriodSeconds"] > sleep + shutdown


def mount(name: str) -> dict[str, Any]:
    (found,) = (mount for mount in container()["volumeMounts"] if mount["name"] == name)
    return found


def test_a_pod_may_do_nothing_but_serve():
    security = pod()["securityContext"]
    assert (security["runAsNonRoot"], str(security["runAsUser"]), str(security["runAsGroup"])) == (True, USER, USER)
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container()["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    assert pod()["automountServiceAccountToken"] is False
    assert pod()["enableServiceLinks"] is False
    assert mount("bundle")["readOnly"] is True
    (claim,) = resources("bundle")
    assert pod()["volumes"][0]["persistentVolumeClaim"] == {"claimName": claim["metadata"]["name"], "readOnly": True}


def test_the_limits_are_those_of_compose():
    (compose,) = documents(ROOT / "compose.yaml")
    service = compose["services"][BASE]
    expected = {"cpu": str(service["cpus"]), "memory": service["mem_limit"].replace("g", "Gi")}
    assert container()["resources"] == {"requests": expected, "limits": expected}


@pytest.mark.parametrize("service", OVERLAYS)
def test_an_overlay_differs_in_image_and_port_only(service: str):
    content = kustomization(f"overlays/{service}")
    image = container()["image"]
    assert image == f"train-to-serve/{BASE}"
    assert content["images"] == [{"name": image, "newName": f"train-to-serve/{service}"}]
    (patch,) = content["patches"]
    (operation,) = yaml.safe_load(patch["patch"])
    path = "/spec/template/spec/containers/0/ports/0/containerPort"
    assert operation == {"op": "replace", "path": path, "value": PORTS[service]}


@pytest.mark.parametrize("service", SERVICES)
def test_the_ports_are_those_of_compose_and_of_the_image(service: str):
    (compose,) = documents(ROOT / "compose.yaml")
    (published,) = compose["services"][service]["ports"]
    assert published.endswith(f":{PORTS[service]}")
    dockerfile = (ROOT / compose["services"][service]["build"]["dockerfile"]).read_text(encoding="utf-8")
    assert re.findall(r"SERVE_PORT=(\d+)", dockerfile) == [str(PORTS[service])]


@pytest.mark.parametrize("service", OVERLAYS)
def test_an_overlay_selects_its_own_pods(service: str):
    found = {resource["kind"]: resource for resource in rendered(K8S / "overlays" / service)}
    labels = found["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert labels["app.kubernetes.io/component"] == service
    assert found["Service"]["spec"]["selector"] == labels
    assert found["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"] == labels
    assert found["NetworkPolicy"]["spec"]["ingress"] == base("NetworkPolicy")["spec"]["ingress"]


def test_the_key_comes_from_a_secret(tmp_path: Path):
    folder = Path(shutil.copytree(K8S, tmp_path / "k8s")) / "overlays/keyed"
    folder.mkdir()
    text = KEYED.format(target="../../base", component="../../components/api-key")
    (folder / "kustomization.yaml").write_text(text, encoding="utf-8")
    (deployment,) = (resource for resource in rendered(folder) if resource["kind"] == "Deployment")
    valid(deployment, OLDEST)
    spec = deployment["spec"]["template"]["spec"]
    assert {"name": "api-key", "secret": {"secretName": "api-key"}} in spec["volumes"]
    assert len(spec["containers"][0]["volumeMounts"]) == 3
