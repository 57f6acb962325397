"""The manifests of `deploy/kubernetes`: valid, closed, and naming nothing that obflow does not have."""

from __future__ import annotations

import copy
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from obflow.cli import command_entries, load_command
from obflow.metric_list import GAUGES
from obflow.settings import reference
from schemas.topics import BY_NAME
from tests.support.promql import metrics_of

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "kubernetes"
KUSTOMIZATION = yaml.safe_load((FOLDER / "kustomization.yaml").read_text("utf-8"))
KUBECTL = shutil.which("kubectl")
VERSIONS = ("1.30", kubernetes_validate.latest_version())
OF_OTHERS = {"ScaledObject"}
"""Kinds that are not Kubernetes' own, so that it has no schema of them."""
PAGES = {"startupProbe": "/live", "livenessProbe": "/live", "readinessProbe": "/ready"}
ROLES = (
    "producer",
    "processor",
    "regimes",
    "signals",
    "anomalies",
    "levels",
    "staleness",
    "quotes",
    "arbitrage",
    "sink",
    "evaluate",
)
SETTINGS = {entry.env: entry for entry in reference()}

Manifest = dict[str, Any]
MANIFESTS: list[Manifest] = [
    manifest
    for name in KUSTOMIZATION["resources"]
    for manifest in yaml.safe_load_all((FOLDER / name).read_text("utf-8"))
]
WORKLOADS = {
    manifest["metadata"]["name"]: manifest
    for manifest in MANIFESTS
    if manifest["kind"] in ("Deployment", "StatefulSet", "Job")
}
SETTINGS_FILE = dict(
    line.split("=", 1)
    for line in (FOLDER / "settings.env").read_text("utf-8").splitlines()
    if line and not line.startswith("#")
)


def named(manifest: Manifest) -> str:
    return f"{manifest['kind']} {manifest['metadata']['name']}"


def one(kind: str, name: str) -> Manifest:
    return next(each for each in MANIFESTS if (each["kind"], each["metadata"]["name"]) == (kind, name))


def pod(name: str) -> Manifest:
    found: Manifest = WORKLOADS[name]["spec"]["template"]["spec"]
    return found


def container(name: str) -> Manifest:
    (found,) = pod(name)["containers"]
    return dict(found)


def variables() -> Iterator[tuple[str, str]]:
    """Every variable that is set somewhere, with its value."""
    yield from SETTINGS_FILE.items()
    patch = yaml.safe_load((FOLDER / "language-model" / "key.yaml").read_text("utf-8"))
    for found in (*map(container, WORKLOADS), *patch["spec"]["template"]["spec"]["containers"]):
        for variable in found.get("env", []):
            yield variable["name"], variable["value"]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("manifest", [each for each in MANIFESTS if each["kind"] not in OF_OTHERS], ids=named)
def test_a_manifest_is_valid_down_to_its_last_field(manifest: Manifest, version: str) -> None:
    kubernetes_validate.validate(manifest, version, strict=True)


@pytest.mark.parametrize(("field", "value"), [("replicas", "two"), ("replica", 2)])
def test_a_planted_fault_is_found(field: str, value: object) -> None:
    broken = copy.deepcopy(one("Deployment", "regimes"))
    broken["spec"][field] = value
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, VERSIONS[0], strict=True)


def test_every_file_is_part_of_the_kustomization() -> None:
    files = {path.name for path in FOLDER.glob("*.yaml")} - {"kustomization.yaml"}
    assert files == set(KUSTOMIZATION["resources"])
    assert KUSTOMIZATION["configMapGenerator"] == [{"name": "settings", "envs": ["settings.env"]}]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert KUSTOMIZATION["images"] == [{"name": "obflow", "newTag": project["version"]}]


@pytest.mark.skipif(KUBECTL is None, reason="kubectl is not installed, so that nothing here can build a kustomization")
@pytest.mark.parametrize("with_model", [False, True], ids=["alone", "with a language model"])
def test_kubectl_builds_it(with_model: bool, tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "base")
    overlay: Manifest = {"resources": ["base"], "components": ["base/language-model"] if with_model else []}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(overlay), "utf-8")
    done = subprocess.run([str(KUBECTL), "kustomize", str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    built = {named(manifest): manifest for manifest in yaml.safe_load_all(done.stdout)}
    assert len(built) == len(MANIFESTS) + 1, "each of them, and the settings"
    assert {each["metadata"]["namespace"] for each in built.values() if each["kind"] != "Namespace"} == {"obflow"}
    regimes = built["Deployment regimes"]
    kubernetes_validate.validate(regimes, VERSIONS[0], strict=True)
    assert ("OBFLOW_REGIMES__API_KEY_FILE" in str(regimes)) == with_model


def test_every_setting_is_one_that_obflow_knows_and_none_is_a_secret() -> None:
    given = dict(variables())
    assert given.keys() - SETTINGS.keys() == set()
    assert [name for name in given if SETTINGS[name].secret] == []
    for name, value in given.items():
        if name.endswith("_FILE"):
            assert value.startswith("/run/secrets/"), name


def test_a_secret_is_a_file_that_is_mounted_from_a_secret_by_reference() -> None:
    assert [manifest for manifest in MANIFESTS if manifest["kind"] == "Secret"] == []
    for name in WORKLOADS:
        mounts = {mount["mountPath"]: mount for mount in container(name)["volumeMounts"]}
        volumes = {volume["name"]: volume for volume in pod(name)["volumes"]}
        for variable in container(name).get("env", []):
            mount = mounts[str(Path(variable["value"]).parent)]
            assert mount["readOnly"] is True
            paths = {item["path"] for item in volumes[mount["name"]]["secret"]["items"]}
            assert Path(variable["value"]).name in paths
    told = {name for name in WORKLOADS if container(name).get("env")}
    assert told == {"sink", "evaluate", "tables"}, "only what asks the database is given its password"


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_pod_runs_as_nobody_on_a_read_only_root_with_bounds(name: str) -> None:
    found = container(name)
    assert pod(name)["securityContext"]["runAsNonRoot"] is True
    user = f"{pod(name)['securityContext']['runAsUser']}:{pod(name)['securityContext']['runAsGroup']}"
    assert f"USER {user}" in (ROOT / "deploy" / "Dockerfile").read_text("utf-8")
    assert found["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod(name)["automountServiceAccountToken"] is False
    assert found["resources"]["requests"].keys() == {"cpu", "memory"}
    assert "memory" in found["resources"]["limits"]
    assert "/tmp" in {mount["mountPath"] for mount in found["volumeMounts"]}  # noqa: S108 (of a container)


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_pod_s_command_line_is_one_that_obflow_takes(name: str) -> None:
    command, *words = container(name)["args"]
    assert command in command_entries()
    loaded = load_command(command_entries()[command])
    with loaded.make_context(command, words) as context:
        assert not getattr(loaded, "commands", {}) or [*context._protected_args, *context.args][0] in loaded.commands


@pytest.mark.parametrize("role", ROLES)
def test_probes_ask_pages_there_are_on_the_port_that_is_served(role: str) -> None:
    found = container(role)
    assert {probe: found[probe]["httpGet"]["path"] for probe in PAGES} == PAGES
    assert {found[probe]["httpGet"]["port"] for probe in PAGES} == {"metrics"}
    assert found["ports"] == [{"name": "metrics", "containerPort": int(SETTINGS_FILE["OBFLOW_METRICS__PORT"])}]
    served = re.findall(r'"(/\w+)": health', (ROOT / "obflow" / "pages.py").read_text("utf-8"))
    assert set(PAGES.values()) == set(served)
    assert SETTINGS_FILE["OBFLOW_METRICS__HOST"] == "0.0.0.0"  # noqa: S104 (a pod's own address)


@pytest.mark.parametrize("role", ROLES)
def test_budget_service_and_pods_of_a_role_mean_each_other(role: str) -> None:
    labels = WORKLOADS[role]["spec"]["template"]["metadata"]["labels"]
    assert WORKLOADS[role]["spec"]["selector"]["matchLabels"] == labels
    assert one("PodDisruptionBudget", role)["spec"]["selector"]["matchLabels"] == labels
    assert one("Service", role)["spec"]["selector"] == labels


def test_whoever_must_be_alone_is_a_set_of_one() -> None:
    """A Deployment may run an old and a new pod side by side; a StatefulSet never runs two of one name."""
    assert (WORKLOADS["producer"]["kind"], WORKLOADS["producer"]["spec"]["replicas"]) == ("StatefulSet", 1)


def test_processors_are_scaled_by_lag_in_seconds_up_to_one_a_partition() -> None:
    scaled = one("ScaledObject", "processor")["spec"]
    target = WORKLOADS[scaled["scaleTargetRef"]["name"]]
    assert scaled["scaleTargetRef"]["kind"] == target["kind"]
    assert "replicas" not in target["spec"], "each `apply` would undo what the scaler chose"
    assert scaled["maxReplicaCount"] == int(SETTINGS_FILE["OBFLOW_KAFKA__PARTITIONS"])
    (trigger,) = scaled["triggers"]
    (metric,) = metrics_of(trigger["metadata"]["query"])
    assert GAUGES[metric].unit == "seconds"  # type: ignore[index] # what is tested
    assert "processor" in GAUGES[metric].roles  # type: ignore[index] # as above
    (topic,) = re.findall(r'topic="([^"]+)"', trigger["metadata"]["query"])
    assert topic in BY_NAME
