"""The deployment's files, without an engine: what docker-compose.yml, the Dockerfile and deploy/env.example hold to.

Whether the deployment works is for `make test-compose` to show, on a Docker engine.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from obflow.cli import command_entries, load_command
from obflow.settings import reference
from tests.support.patience import patient

ROOT = Path(__file__).parents[2]
COMPOSE_TEXT = (ROOT / "docker-compose.yml").read_text("utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load(COMPOSE_TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text("utf-8")
ENV_EXAMPLE = (ROOT / "deploy" / "env.example").read_text("utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))

ROLES = sorted(name for name, service in SERVICES.items() if "build" in service)
ONE_SHOTS = sorted(name for name, service in SERVICES.items() if service["restart"] == "no")
VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::-(?P<default>[^}]*)|:\+[^}]*)?\}")
EXAMPLE_LINE = re.compile(r"^# (?P<name>[A-Z][A-Z0-9_]+)=(?P<default>.*)$", re.MULTILINE)
SETTINGS = {entry.env: entry for entry in reference()}
BY_COMPOSE_ITSELF = {"COMPOSE_PROFILES"}
STORE_SECRET = "clickhouse_password"  # noqa: S105 (a name)
PASSWORD_VOLUME = "clickhouse-password"  # noqa: S105 (a name)
UNTOUCHED = {
    "OBFLOW_CACHE",
    "OBFLOW_CLICKHOUSE__PASSWORD",
    "OBFLOW_KAFKA__SASL_PASSWORD",
    "OBFLOW_KAFKA__SSL_KEY_PASSWORD",
    "OBFLOW_REGIMES__API_KEY",
    "OBFLOW_REGIMES__GREEN_API_KEY",
}
"""Settings that no container is given: nothing is cached in one, and secrets are files."""


def environments() -> dict[str, dict[str, str | None]]:
    return {name: SERVICES[name]["environment"] for name in ROLES}


def variables() -> dict[str, set[str]]:
    """Every variable docker-compose.yml takes from outside, with the defaults it has there."""
    found: dict[str, set[str]] = {}
    for match in VARIABLE.finditer(COMPOSE_TEXT):
        found.setdefault(match["name"], set()).update({match["default"]} - {None})
    return found


def passed_on() -> set[str]:
    """Settings that come in from .env or the shell."""
    names = {name for values in environments().values() for name, value in values.items() if value is None}
    return names | (variables().keys() & SETTINGS.keys())


@pytest.mark.parametrize("service", SERVICES)
def test_every_image_is_pinned_and_can_be_chosen(service: str) -> None:
    match = VARIABLE.fullmatch(SERVICES[service]["image"])
    assert match, "not of the form ${NAME_IMAGE:-repository:tag}"
    assert match["name"].endswith("_IMAGE")
    _, _, tag = match["default"].partition(":")
    assert re.search(r"\d", tag), "the tag names no version"
    assert "latest" not in tag
    assert "@" not in tag, "a digest belongs in .env: it would shut out every other image of that tag"


def test_the_dockerfile_builds_on_the_same_python_and_carries_the_project_s_version() -> None:
    defaults = dict(re.findall(r"^ARG (\w+)=(\S+)$", DOCKERFILE, re.MULTILINE))
    assert variables()["PYTHON_IMAGE"] == {defaults["PYTHON_IMAGE"]}
    assert set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)) == {"${PYTHON_IMAGE}"}
    assert defaults["VERSION"] == PROJECT["project"]["version"]
    assert variables()["OBFLOW_IMAGE"] == {f"obflow:{PROJECT['project']['version']}"}
    assert "syntax=" not in DOCKERFILE, "a syntax line pulls an image of its own"


def test_the_image_holds_every_package_and_its_build_can_see_them() -> None:
    copied = set(re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE))
    sources = {source for line in copied for source in line.split()}
    allowed = set(re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text("utf-8"), re.MULTILINE))
    assert set(PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]) <= sources
    assert sources == allowed
    assert [source for source in sources if not (ROOT / source).exists()] == []


def test_no_service_is_reachable_from_beyond_this_machine() -> None:
    for name, service in SERVICES.items():
        for port in service.get("ports", []):
            assert re.fullmatch(r"127\.0\.0\.1:\$\{[A-Z_]+:-\d+\}:\d+", port), f"{name} publishes {port}"


@pytest.mark.parametrize("service", ROLES)
def test_any_role_can_be_scaled(service: str) -> None:
    assert not {"ports", "container_name", "hostname"} & SERVICES[service].keys()


@pytest.mark.parametrize("service", ROLES)
def test_a_role_runs_as_nobody_on_a_read_only_root_without_capabilities(service: str) -> None:
    role = SERVICES[service]
    uid, gid = role["user"].split(":")
    assert int(uid) > 0
    assert int(gid) > 0
    assert f"USER {role['user']}" in DOCKERFILE
    assert role["read_only"] is True
    assert role["cap_drop"] == ["ALL"]
    assert "cap_add" not in role
    assert "privileged" not in role
    assert "no-new-privileges:true" in role["security_opt"]


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_has_limits_and_bounded_logs(service: str) -> None:
    assert VARIABLE.fullmatch(SERVICES[service]["mem_limit"])
    assert SERVICES[service]["pids_limit"] > 0
    assert SERVICES[service]["logging"]["driver"] == "json-file"
    assert {"max-size", "max-file"} <= SERVICES[service]["logging"]["options"].keys()


@pytest.mark.parametrize("service", sorted(SERVICES.keys() - set(ONE_SHOTS)))
def test_every_lasting_service_says_whether_it_is_well_and_is_started_again(service: str) -> None:
    check = SERVICES[service]["healthcheck"]
    assert check["test"][0] == "CMD"
    assert not re.search(r"kafka-[a-z-]+\.sh|python", " ".join(check["test"])), "starts a whole machine each time"
    assert {"interval", "timeout", "retries", "start_period"} <= check.keys()
    assert SERVICES[service]["restart"] == "unless-stopped"


def test_services_wait_for_what_they_need_to_be_ready_not_just_started() -> None:
    wanted = {name: "service_completed_successfully" if name in ONE_SHOTS else "service_healthy" for name in SERVICES}
    awaited: set[str] = set()
    for name, service in SERVICES.items():
        for other, how in service.get("depends_on", {}).items():
            awaited.add(other)
            assert how == {"condition": wanted[other]}, f"{name} on {other}"
    # `up --wait` takes the end of a one-shot that nobody waits for as a failure.
    assert set(ONE_SHOTS) <= awaited
    assert ONE_SHOTS == ["password", "tables", "topics"]


@pytest.mark.parametrize("service", [name for name in ROLES if "entrypoint" not in SERVICES[name]])
def test_a_role_s_command_line_is_one_that_obflow_takes(service: str) -> None:
    name, *words = [re.sub(VARIABLE, lambda match: match["default"], word) for word in SERVICES[service]["command"]]
    assert name in command_entries()
    command = load_command(command_entries()[name])
    with command.make_context(name, words) as context:
        inner = getattr(command, "commands", {})
        if inner:
            assert context._protected_args or context.args, "a group without a command"
            assert (context._protected_args or context.args)[0] in inner


def test_every_setting_in_the_compose_file_is_one_that_obflow_knows() -> None:
    given = {name for values in environments().values() for name in values if name.startswith("OBFLOW_")}
    assert given - SETTINGS.keys() == set()


def test_every_setting_can_be_set_in_a_deployment() -> None:
    """A new setting is one line in x-environment of docker-compose.yml, and one in deploy/env.example."""
    given = {name for values in environments().values() for name in values}
    assert SETTINGS.keys() - given == UNTOUCHED


def test_only_what_asks_the_database_is_told_where_it_is_and_given_its_password() -> None:
    told = {role for role, values in environments().items() if any("CLICKHOUSE" in name for name in values)}
    given = {name: mode for name in SERVICES for mode in modes_of(name, PASSWORD_VOLUME)}
    assert told == {"sink", "evaluate", "tables"}
    assert given == {"password": "rw", "clickhouse": "ro", **dict.fromkeys(told, "ro")}
    assert [name for name, service in SERVICES.items() if STORE_SECRET in service.get("secrets", [])] == ["password"]


def modes_of(service: str, volume: str) -> list[str]:
    """How a service mounts a volume: `rw` or `ro`; nothing where it does not."""
    mounts = [mount.split(":") for mount in SERVICES[service].get("volumes", [])]
    return [
        mode[0] if mode else "rw" for source, target, *mode in mounts if (source, target) == (volume, "/run/obflow")
    ]


def test_the_database_s_password_is_read_where_it_is_made_and_nobody_starts_before() -> None:
    made = SERVICES["password"]["entrypoint"][-1]
    readers = {name for name, service in SERVICES.items() if made in service["environment"].values()}
    assert readers == {"clickhouse", "sink", "evaluate", "tables"}
    assert SERVICES["clickhouse"]["environment"]["CLICKHOUSE_PASSWORD_FILE"] == made
    assert "password" in SERVICES["clickhouse"]["depends_on"]
    for reader in readers - {"clickhouse"}:  # by way of the database, or of the tables in it
        assert {"clickhouse", "tables"} & SERVICES[reader]["depends_on"].keys()
    assert SERVICES["password"]["network_mode"] == "none"
    assert f"install -d -o 10001 -g 10001 {Path(made).parent}" in DOCKERFILE


def make_password(given: Path, kept: Path) -> subprocess.CompletedProcess[str]:
    script = ROOT / "deploy" / "clickhouse" / "make-password.sh"
    return subprocess.run(["bash", script, given, kept], capture_output=True, text=True, timeout=20)


class TestPassword:
    """What `password` does at each `up`."""

    @pytest.fixture
    def given(self) -> Path:
        """What an operator gave who gave nothing."""
        return ROOT / VARIABLE.fullmatch(COMPOSE["secrets"][STORE_SECRET]["file"])["default"]  # type: ignore[index]

    def test_one_is_made_at_the_first_start_and_stays(self, given: Path, tmp_path: Path) -> None:
        kept, other = tmp_path / "password", tmp_path / "other"
        for path in (kept, kept, other):
            assert make_password(given, path).returncode == 0, path
        first = kept.read_text()
        assert re.fullmatch(r"[A-Za-z0-9_-]{32}\n", first)
        assert make_password(given, kept).returncode == 0
        assert kept.read_text() == first
        assert other.read_text() != first
        assert kept.stat().st_mode & 0o777 == 0o444
        assert sorted(tmp_path.iterdir()) == [other, kept], "no drafts are left"

    def test_the_operator_s_own_takes_its_place_and_a_blank_file_gives_none(self, given: Path, tmp_path: Path) -> None:
        own, kept = tmp_path / "own", tmp_path / "kept"
        make_password(given, kept)
        own.write_text("p@ss 'word' $1\n")
        assert make_password(own, kept).returncode == 0
        assert kept.read_text() == "p@ss 'word' $1\n"
        own.write_text("\n")
        assert make_password(own, kept).returncode == 0
        assert kept.read_text() == "p@ss 'word' $1\n"
        assert make_password(own, tmp_path / "fresh").returncode == 0
        assert len((tmp_path / "fresh").read_text()) == 33

    def test_of_many_that_make_it_at_once_one_wins(self, given: Path, tmp_path: Path) -> None:
        kept = tmp_path / "password"
        script = str(ROOT / "deploy" / "clickhouse" / "make-password.sh")
        running = [subprocess.Popen(["bash", script, str(given), str(kept)]) for _ in range(8)]
        assert [one.wait(patient(20)) for one in running] == [0] * 8
        assert len(kept.read_text()) == 33
        assert list(tmp_path.iterdir()) == [kept]

    def test_a_file_that_cannot_be_read_ends_the_start_and_changes_nothing(self, tmp_path: Path) -> None:
        done = make_password(tmp_path / "missing", tmp_path / "kept")
        assert done.returncode != 0
        assert "missing" in done.stderr
        assert list(tmp_path.iterdir()) == []


def test_env_example_names_every_setting_at_its_default() -> None:
    shown = {match["name"]: match["default"] for match in EXAMPLE_LINE.finditer(ENV_EXAMPLE)}
    own = {name: next(iter(defaults)) for name, defaults in variables().items()}
    assert {name: shown.get(name) for name in passed_on()} == {
        name: own.get(name, SETTINGS[name].default) for name in passed_on()
    }, "`obflow settings --env` prints these lines"
    fixed = SETTINGS.keys() - passed_on()
    assert [name for name in sorted(fixed) if not re.search(rf"\b{name}\b(?!=)", ENV_EXAMPLE)] == []
    assert {name for name in shown if name.startswith("OBFLOW_") and name not in variables()} <= SETTINGS.keys()


def test_env_example_and_compose_agree_on_every_other_variable() -> None:
    shown = {match["name"]: match["default"] for match in EXAMPLE_LINE.finditer(ENV_EXAMPLE)}
    others = {name: defaults for name, defaults in variables().items() if name not in SETTINGS}
    assert {name: {shown.get(name)} for name in others} == others
    assert shown.keys() - others.keys() - SETTINGS.keys() == BY_COMPOSE_ITSELF
    assert len(EXAMPLE_LINE.findall(ENV_EXAMPLE)) == len(shown), "a variable is named twice"
    assert re.findall(r"^[^#\n].*$", ENV_EXAMPLE, re.MULTILINE) == [], "a copy of it would change something"


SECRET = re.compile(r"PASSWORD|API_KEY|SECRET|TOKEN(?!S)")  # a number of tokens is none


def test_secrets_are_files_that_exist_and_no_password_is_in_an_environment() -> None:
    declared = COMPOSE["secrets"]
    for name, secret in declared.items():
        assert secret.keys() == {"file"}, name
        match = VARIABLE.fullmatch(secret["file"])
        assert match
        assert (ROOT / match["default"]).is_file()
    for name, service in SERVICES.items():
        assert set(service.get("secrets", [])) <= declared.keys()
        for variable, value in service["environment"].items():
            if SECRET.search(variable) and variable != "CLICKHOUSE_READONLY_PASSWORD":
                assert variable.endswith("_FILE"), f"{name}: {variable}"
                if value is None:  # where it lies inside is the operator's to say
                    continue
                secret = re.search(r"/run/secrets/(\w+)\}?$", str(value))
                assert secret[1] in service["secrets"] if secret else modes_of(name, PASSWORD_VOLUME) == ["ro"]


def test_the_database_s_reader_is_what_compose_sets_and_may_only_read() -> None:
    reader = ElementTree.parse(ROOT / "deploy" / "clickhouse" / "reader.xml").getroot()  # noqa: S314 (our own file)
    environment = SERVICES["clickhouse"]["environment"]
    taken = {element.get("from_env") for element in reader.iter() if element.get("from_env")}
    assert taken == {"CLICKHOUSE_READONLY_PASSWORD", "CLICKHOUSE_READONLY_GRANT"}
    assert taken <= environment.keys()
    assert environment["CLICKHOUSE_READONLY_GRANT"].startswith(
        "GRANT SELECT ON ${OBFLOW_CLICKHOUSE__DATABASE:-obflow}."
    )
    assert [element.tag for element in reader.findall("users/*")] == [environment["CLICKHOUSE_READONLY_USER"]]
    assert [element.text for element in reader.iter("readonly")] == ["1"]


def test_nothing_hides_the_folders_that_an_image_writes_to_at_its_start() -> None:
    """The database's start script writes into users.d: a folder mounted there read-only would end the start."""
    for service in SERVICES.values():
        for mount in service.get("volumes", []):
            source, target, *mode = mount.split(":")
            if mode == ["ro"] and source not in COMPOSE["volumes"]:
                assert (ROOT / source).is_file(), f"{source} on {target}"


def test_the_deployment_test_fails_with_a_sentence_where_no_engine_answers(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", "tests/compose"]
    environment = {**os.environ, "DOCKER_HOST": f"unix://{tmp_path}/no-engine.sock"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1, done.stdout[-2000:]
    assert re.search(r"^the deployment cannot be tried: .*(no Docker engine answers|not installed)", done.stdout, re.M)
    assert "1 error in" in done.stdout
    assert not re.search(r"\d skipped", done.stdout)
