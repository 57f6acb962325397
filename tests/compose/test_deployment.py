"""The deployment for real, chapter by chapter: each test goes on where the one before it ended (`make test-compose`).

Up from nothing, rows, a reader who can only read, a writer's password made on the spot, three processors, three sinks
and two producers, one of each killed, the regime worker killed, the broker restarted, the database away for half a
minute; then the producer stops, everything drains, and an audit inside the network compares what is stored with the
log. All the while the simulator keeps the producer busy.
"""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest

from schemas.topics import FACTORS, L2, REGIMES, TRADES
from sinks.presence import GROUP_MIDDLE
from tests.compose.deployment import PARTITIONS, Deployment, step, wait_until
from tests.compose.engine import docker, inspect, truly
from tests.support.patience import patient

pytestmark = [pytest.mark.timeout(patient(900))]

INSTRUMENTS = 12
MANAGED = {"OBFLOW_KAFKA__TOPIC_PREFIX": "managed.", "OBFLOW_CLICKHOUSE__DATABASE": "managed"}
ROWS_OF_THE_OTHER = "SELECT count() FROM managed.factors"
SCRAPED = (
    *("producer", "processor", "regimes", "signals", "anomalies", "levels", "staleness", "quotes", "arbitrage", "sink"),
    "evaluate",
    "prometheus",
)
ROLES = (*SCRAPED[:-1], "simulator")
SCALED = ("--scale", "processor=3", "--scale", "sink=3", "--scale", "producer=2")
MAX_IMAGE_BYTES = 1_000_000_000
MAX_START_S = 10.0
DATABASE_AWAY_S = 30.0
WINDOWS = """
WITH
    windows AS (
        SELECT symbol, intDiv(toUnixTimestamp64Nano(received_at), 5000000000) AS w FROM factors GROUP BY symbol, w
    ),
    closed AS (
        SELECT symbol, w FROM windows WHERE (symbol, w) NOT IN (SELECT symbol, max(w) FROM windows GROUP BY symbol)
    ),
    judged AS (
        SELECT symbol, intDiv(toUnixTimestamp64Nano(window_start), 5000000000) AS w, count() AS times
        FROM regimes WHERE source = 'rule' GROUP BY symbol, w
    )
SELECT
    (SELECT count() FROM closed),
    (SELECT count() FROM closed WHERE (symbol, w) NOT IN (SELECT symbol, w FROM judged)),
    (SELECT count() FROM judged WHERE (symbol, w) NOT IN (SELECT symbol, w FROM closed)),
    (SELECT max(times) FROM judged)
"""
"""Closed windows of five seconds; those without a judgement; judgements of no such window; the most that one has."""


def say(text: str) -> None:
    print(f"    {text}", flush=True)  # noqa: T201


def everything_flows(deployment: Deployment, since_s: float, timeout_s: float) -> None:
    """Every instrument has factors that were received after a moment, and the log goes on."""
    wait_until(
        "factors of every instrument, received after the fault",
        lambda: deployment.instruments_since(since_s) == INSTRUMENTS,
        timeout_s,
    )


def owned_by(shares: dict[str, set[int]], members: int) -> bool:
    """Whether so many members own every partition, each of them some and none of them twice."""
    return (
        len(shares) == members
        and all(shares.values())
        and sum(map(len, shares.values())) == PARTITIONS
        and set().union(*shares.values()) == set(range(PARTITIONS))
    )


def three_processors(deployment: Deployment) -> bool:
    """Whether three of them own every partition of the books' log."""
    return owned_by(deployment.owners(), 3)


def sinks(deployment: Deployment) -> dict[str, set[int]]:
    """Partitions of the factors' log by the address of the sink that stores them."""
    settings = deployment.settings
    return deployment.owners(f"{settings.sink.group}{GROUP_MIDDLE}{settings.kafka.topic_prefix}", FACTORS.name)


def producers(deployment: Deployment) -> dict[str, set[int]]:
    """Buckets of instruments by the address of the producer whose lease holds them."""
    (group,) = [one for one in deployment.groups() if one.startswith("obflow-producers-binance-futures-")]
    return deployment.owners(group)


def scale(deployment: Deployment, services: tuple[str, ...] = SCALED) -> None:
    """Bring up what is down, with so many of each as the words say."""
    deployment.compose("up", "-d", "--wait", "--no-recreate", *services, timeout_s=240)


def kill_the_busiest(deployment: Deployment, service: str, shares: dict[str, set[int]], topic: str) -> float:
    """Kill who owns most of the partitions at work; when, s."""
    busy = {part for (_, part), end in deployment.ends(topic).items() if end > 0}
    address = max(shares, key=lambda one: len(shares[one] & busy))
    say(f"kill the {service} at {address}, which owns {len(shares[address] & busy)} partitions at work")
    killed_s = time.time()
    docker("kill", deployment.container_at(service, address))
    return killed_s


def test_it_comes_up_from_nothing_and_rows_flow(deployment: Deployment) -> None:
    held = deployment.everything()
    assert not any(held.values()), f"there is something of {deployment.project} already: {held}"
    with step("build (what the engine has cached is not built again)"):
        deployment.compose("build", "simulator", timeout_s=800)
    with step("up --wait"):
        deployment.compose("up", "-d", "--wait", timeout_s=300)
    with step("then until every instrument has rows"):
        wait_until("rows of every instrument", lambda: deployment.instruments_since(0) == INSTRUMENTS, 60)
    with step("and trades"):
        wait_until("trades", lambda: deployment.rows("trades") > 0, 30)
    for service in (*ROLES, "kafka", "clickhouse"):
        container = inspect("container", deployment.containers(service)[0])
        assert container is not None
        say(f"{service} runs {container['Config']['Image']} ({truly(container['Image'])})")


def test_the_reading_user_reads_and_can_do_nothing_else(deployment: Deployment) -> None:
    assert deployment.rows("factors") > 0
    assert int(deployment.query("SELECT countIf(source != 'simulator') FROM factors")) == 0
    for statement in (
        "INSERT INTO dead_letters SELECT * FROM dead_letters LIMIT 0",
        "CREATE TABLE mine (x Int8) ENGINE = Memory",
        "DROP TABLE factors",
        "ALTER TABLE factors DELETE WHERE 1",
    ):
        assert re.search(r"READONLY|ACCESS_DENIED", deployment.refusal(statement)), statement
    deployment.reader_password, right = "wrong", deployment.reader_password
    assert "AUTHENTICATION_FAILED" in deployment.refusal("SELECT 1")
    deployment.reader_password = right


def test_the_writing_user_s_password_was_made_here_stays_and_is_shown_to_nobody_else(deployment: Deployment) -> None:
    def kept(service: str) -> str:
        return deployment.compose("exec", "-T", service, "cat", "/run/obflow/clickhouse_password").strip()

    made = kept("sink")
    assert re.fullmatch(r"[A-Za-z0-9_-]{32}", made)
    assert kept("clickhouse") == made
    for guess in ("", "obflow", "obflow-change-me", "default", deployment.reader_password):
        assert "AUTHENTICATION_FAILED" in deployment.refusal("SELECT 1", "obflow", guess), guess
    assert deployment.query("SELECT 1", "obflow", made) == "1"
    with step("up again: the one-shots run once more, nothing is made anew"):
        deployment.compose("up", "-d", "--wait", "--no-recreate", timeout_s=180)
    assert kept("sink") == made
    for service in ("processor", "producer", "regimes", "simulator"):
        seen = deployment.compose("exec", "-T", service, "sh", "-c", "env; ls -A /run/obflow; cat /proc/mounts")
        assert made not in seen
        assert "clickhouse_password" not in seen
    seen = deployment.compose("exec", "-T", "sink", "sh", "-c", "env; touch /run/obflow/x 2>&1 || true")
    assert made not in seen
    assert "Read-only file system" in seen


@pytest.mark.parametrize("service", ROLES)
def test_a_role_runs_as_nobody_on_a_read_only_root_without_capabilities(deployment: Deployment, service: str) -> None:
    look = "id -u; grep -E '^Cap(Prm|Eff|Bnd)' /proc/self/status"
    write = "for folder in / /opt $HOME; do touch $folder/x 2>&1 && echo wrote $folder; done"
    seen = deployment.compose("exec", "-T", service, "sh", "-c", f"{look}; {write}")
    assert seen.splitlines()[0] == "10001"
    assert re.findall(r"Cap\w+:\s*(\w+)", seen) == ["0" * 16] * 3
    assert seen.count("Read-only file system") == 2
    assert re.findall(r"wrote (.*)", seen) == ["/tmp"]  # noqa: S108 (of the container, in memory)
    container = inspect("container", deployment.containers(service)[0])
    assert container is not None
    host = container["HostConfig"]
    assert host["ReadonlyRootfs"] is True
    assert host["CapDrop"] == ["ALL"]
    assert host["Memory"] > 0
    assert host["PortBindings"] in ({}, None)


def test_the_image_is_small_and_starts_at_once(deployment: Deployment) -> None:
    image = inspect("image", deployment.image)
    assert image is not None
    say(f"image: {image['Size'] / 1e6:.0f} MB")
    assert image["Size"] <= MAX_IMAGE_BYTES
    assert image["Config"]["User"] == "10001:10001"
    begun = time.monotonic()
    docker("run", "--rm", "--read-only", "--cap-drop", "ALL", "--network", "none", deployment.image, "settings")
    took_s = time.monotonic() - begun
    say(f"start, print every setting, end: {took_s:.1f} s")
    assert took_s <= patient(MAX_START_S)


def test_status_inside_a_role_sees_every_role_feed_and_table(deployment: Deployment) -> None:
    told: list[tuple[int, dict[str, Any]]] = []

    def knows_every_part() -> bool:
        told.append(deployment.obflow_json("status"))
        return not told[-1][1]["notes"]

    with step("obflow status until every part has answered in its time"):
        wait_until("a status without a note", knows_every_part, 60)
    code, found = told[-1]
    roles = {role["role"]: role for role in found["roles"]}
    say(f"roles {sorted(roles)}, notes {found['notes']}")
    assert code == 0
    assert {"producer", "processor", "regimes", "sink"} <= set(roles)
    assert [feed["state"] for feed in found["feeds"]] == ["live"] * INSTRUMENTS
    assert {table["table"] for table in found["tables"]} >= {"factors", "trades", "regimes"}


def test_prometheus_of_the_observability_profile_scrapes_every_role(deployment: Deployment) -> None:
    with step("up --wait prometheus"):
        deployment.compose("--profile", "observability", "up", "-d", "--wait", "prometheus", timeout_s=200)
    wait_until("every role scraped", lambda: deployment.scraped() == dict.fromkeys(SCRAPED, "up"), 90)
    say(f"targets {deployment.scraped()}")
    deployment.compose("--profile", "observability", "rm", "-s", "-f", "-v", "prometheus")


def is_well(deployment: Deployment) -> bool:
    """Whether its doctor finds nothing; what it finds is said."""
    code, found = deployment.obflow_json("doctor", timeout_s=200)
    for check in found["checks"]:
        if not check["ok"]:
            say(f"{check['name']}: {check['detail']}")
    return code == 0


def test_managed_servers_are_used_and_none_is_started(deployment: Deployment, tmp_path: Path) -> None:
    password = deployment.compose("exec", "-T", "sink", "cat", "/run/obflow/clickhouse_password").strip()
    other = deployment.beside(tmp_path, password, KAFKAS="0", CLICKHOUSES="0", **MANAGED)
    try:
        with step("a second deployment, on the servers of the first: up --wait"):
            other.compose("up", "-d", "--wait", "--no-build", timeout_s=300)
        wait_until("rows of its own", lambda: int(deployment.query(ROWS_OF_THE_OTHER, "obflow", password)) > 0, 90)
        assert (other.containers("kafka"), other.containers("clickhouse")) == ([], [])
        with step("until its doctor finds everything well, its sink caught up with two deployments on one machine"):
            wait_until("a doctor without a finding", lambda: is_well(other), 150)
    finally:
        other.remove()


def test_three_processors_own_every_partition_between_them(deployment: Deployment) -> None:
    with step("up --scale processor=3 until the three own all partitions"):
        scale(deployment, SCALED[:2])
        wait_until("three owners of all partitions", lambda: three_processors(deployment), 60)
    for address, parts in sorted(deployment.owners().items()):
        say(f"processor at {address} owns {len(parts)} partitions: {sorted(parts)}")
    with step("then factors of every instrument"):
        everything_flows(deployment, time.time(), 60)


def test_the_others_take_over_from_a_killed_processor(deployment: Deployment) -> None:
    with step("docker kill until the other two own all partitions"):
        killed_s = kill_the_busiest(deployment, "processor", deployment.owners(), L2.name)
        wait_until("two owners of all partitions", lambda: owned_by(deployment.owners(), 2), 60)
    with step("then factors of every instrument"):
        everything_flows(deployment, killed_s + 1, 60)
    with step("up again: three own all partitions"):
        scale(deployment, SCALED[:2])
        wait_until("three owners of all partitions", lambda: three_processors(deployment), 60)


def test_three_sinks_store_between_them_and_take_over_from_a_killed_one(deployment: Deployment) -> None:
    with step("up --scale sink=3 until the three own all partitions"):
        scale(deployment, SCALED[:4])
        wait_until("three owners of all partitions", lambda: owned_by(sinks(deployment), 3), 90)
    with step("docker kill until the other two own all partitions"):
        killed_s = kill_the_busiest(deployment, "sink", sinks(deployment), FACTORS.name)
        wait_until("two owners of all partitions", lambda: owned_by(sinks(deployment), 2), 90)
    with step("then factors of every instrument"):
        everything_flows(deployment, killed_s + 1, 90)
    with step("up again: three own all partitions"):
        scale(deployment, SCALED[:4])
        wait_until("three owners of all partitions", lambda: owned_by(sinks(deployment), 3), 90)


def test_a_second_producer_takes_over_from_a_killed_one(deployment: Deployment) -> None:
    with step("up --scale producer=2 until the two share all instruments"):
        scale(deployment)
        wait_until("two producers with a share each", lambda: owned_by(producers(deployment), 2), 90)
    with step("then factors of every instrument"):
        everything_flows(deployment, time.time(), 90)
    with step("docker kill until the other has all instruments"):
        killed_s = kill_the_busiest(deployment, "producer", producers(deployment), L2.name)
        wait_until("one producer with everything", lambda: owned_by(producers(deployment), 1), 60)
    with step("then factors of every instrument"):
        everything_flows(deployment, killed_s + 1, 60)
    scale(deployment)


def test_regimes_go_on_after_a_kill_of_their_worker(deployment: Deployment) -> None:
    judged = "SELECT uniqExact(symbol) FROM regimes WHERE window_end > fromUnixTimestamp64Milli({})"
    (victim,) = deployment.containers("regimes")
    with step("docker kill of the regime worker, up again"):
        docker("kill", victim)
        killed_s = time.time()
        scale(deployment)
    with step("then a closed window of every instrument"):
        sql = judged.format(int(killed_s * 1000))
        wait_until("regimes of every instrument", lambda: int(deployment.query(sql)) == INSTRUMENTS, 60)


def test_it_goes_on_after_a_restart_of_the_broker(deployment: Deployment) -> None:
    with step("restart of the broker"):
        deployment.compose("restart", "kafka")
        restarted_s = time.time()
    with step("then factors of every instrument"):
        everything_flows(deployment, restarted_s, 120)


def test_factors_flow_while_the_database_is_away_and_are_stored_when_it_is_back(deployment: Deployment) -> None:
    deployment.compose("stop", "clickhouse")
    stopped_s, before = time.time(), sum(deployment.ends(FACTORS.name).values())
    with step(f"database away for {DATABASE_AWAY_S:g} s"):
        time.sleep(DATABASE_AWAY_S)
    meanwhile = sum(deployment.ends(FACTORS.name).values()) - before
    say(f"{meanwhile} factor records meanwhile")
    assert meanwhile > INSTRUMENTS * DATABASE_AWAY_S, "the numeric path waited for the database"
    with step("start of the database"):
        deployment.compose("start", "clickhouse")
        wait_until("the database answers", lambda: deployment.rows("factors") > 0, 60)
    with step("then factors of every instrument"):
        everything_flows(deployment, stopped_s + DATABASE_AWAY_S, 120)


def test_nothing_is_lost_and_nothing_doubled(deployment: Deployment) -> None:
    deployment.compose("stop", "producer", "simulator")
    with step("drain"):
        settings = deployment.settings
        wait_until("processed", lambda: deployment.lag(settings.processor.app_id, L2.name) == 0, 120)
        wait_until("judged", lambda: deployment.lag(settings.regimes.app_id, FACTORS.name) == 0, 120)
        stored = (FACTORS.name, TRADES.name, REGIMES.name)
        wait_until("stored", lambda: deployment.lag(settings.sink.group, *stored) == 0, 120)
    with step("obflow doctor --audit, inside the network"):
        code, found = deployment.obflow_json("doctor", "--audit", timeout_s=300)
    audit = found["audit"]
    say(", ".join(f"{name} {audit[name]}" for name in ("expected", "stored", "lost", "duplicates")))
    assert len(audit["instruments"]) == INSTRUMENTS
    assert all(counts["expected"] > 0 for counts in audit["instruments"].values())
    assert (audit["lost"], audit["duplicates"]) == (0, 0)
    assert audit["stored"] == audit["expected"] == deployment.rows("factors")
    assert (found["ok"], code) == (True, 0), [check for check in found["checks"] if not check["ok"]]
    say(f"restarts: {_restarts(deployment)}")


def test_every_closed_window_has_one_judgement_by_the_rules(deployment: Deployment) -> None:
    closed, lacking, beyond, most = map(int, deployment.query(WINDOWS).split())
    say(f"{closed} closed windows, {lacking} without a judgement, {beyond} judgements of no window")
    assert closed > INSTRUMENTS * 10
    assert (lacking, beyond, most) == (0, 0, 1)


def test_down_leaves_nothing(deployment: Deployment) -> None:
    held = deployment.everything()
    assert all(held.values()), f"there was nothing to take down: {held}"
    with step("down -v"):
        deployment.compose("--profile", "*", "down", "-v", timeout_s=120)  # without, the volumes of profiles stay
    left = [f"{kind} {name}" for kind, names in held.items() for name in names if inspect(kind, name)]
    assert left == []
    assert not any(deployment.everything().values())


def _restarts(deployment: Deployment) -> str:
    """How often the engine had to start something again: what a role could not ride out."""
    counts = []
    for service in (*ROLES, "kafka", "clickhouse"):
        found = [inspect("container", one) for one in deployment.containers(service)]
        counts.append(f"{service} {sum(one['RestartCount'] for one in found if one)}")
    return ", ".join(counts)
