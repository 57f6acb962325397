"""What the runtime itself knows: the topics, and the pages that roles serve."""

from __future__ import annotations

import socket
import time
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.client import HTTPException
from typing import Final
from urllib.error import URLError

from prometheus_client.parser import text_string_to_metric_families

from obflow import kafka_logs, topics
from obflow.records_at import read_at
from obflow.settings import Settings
from obflow.status.table import Row, StatusTable
from schemas.topics import TOPICS

PAGES_FROM: Final = 32
"""Where no page is set, so many ports from `metrics.port` on are looked at: a demo counts up from it, a port a role."""
PAGE_SECONDS: Final = 2.0
MAX_PAGE_BYTES: Final = 4 * 1024 * 1024
NO_ANSWER: Final = "does not answer"
PAGE: Final = ("page", "role", "ready", "cpu_s", "memory_mib", "up_s")


def topic_section(settings: Settings) -> list[StatusTable]:
    """Every topic: how many records it holds, and how old the newest is."""
    names = [topics.topic_name(settings, topic) for topic in TOPICS]
    missing = {difference.topic for difference in topics.check(settings) if difference.what == topics.MISSING}
    present = [name for name in names if name not in missing]
    starts, ends = kafka_logs.start_offsets(settings, present), kafka_logs.end_offsets(settings, present)
    last = {where: end - 1 for where, end in ends.items() if end > starts[where]}
    written = read_at(settings, last)
    rows = []
    for name in present:
        held = sum(end - starts[where] for where, end in ends.items() if where[0] == name)
        newest_ms = max((record.written_ms for where, record in written.items() if where[0] == name), default=-1)
        age_s = round(max(0.0, time.time() - newest_ms / 1000), 1) if newest_ms >= 0 else None
        ended = sum(end for where, end in ends.items() if where[0] == name)
        rows.append((name, held, ended, age_s))
    note = f"missing: {', '.join(sorted(missing))}" if missing else ""
    columns = ("topic", "held_records", "written_records", "newest_age_s")
    return [StatusTable("topics", 40, columns, tuple(rows), totals=("written_records",), note=note)]


def page_section(settings: Settings) -> list[StatusTable]:
    """Every role's own page that answers."""
    asked = list(_addresses(settings))
    if not asked:
        note = "no role's page is known: set status.pages, or metrics.port where the roles run on this machine"
        return [StatusTable("roles", 10, PAGE, note=note)]
    with ThreadPoolExecutor(len(asked)) as pool:
        rows = [row for row in pool.map(partial(_page, is_named=bool(settings.status.pages)), asked) if row is not None]
    return [
        StatusTable("roles", 10, PAGE, tuple(rows), totals=("cpu_s",), note="" if rows else "no role's page answers")
    ]


def _addresses(settings: Settings) -> Iterator[str]:
    """Where pages may be, as host:port: each address of the names that are set, and ports beside our own."""
    for place in filter(None, map(str.strip, settings.status.pages.split(","))):
        host, _, port = place.rpartition(":")
        yield from (f"{address}:{port}" for address in _resolved(host, port))
    first = settings.metrics.port
    if first and not settings.status.pages:
        yield from (f"{settings.metrics.host}:{port}" for port in range(first, first + PAGES_FROM))


def _resolved(host: str, port: str) -> Iterable[str]:
    """Every address of a name: a service that was scaled has several."""
    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError):
        return [host]
    return sorted(f"[{one}]" if ":" in one else one for one in found)


def _page(address: str, *, is_named: bool) -> Row | None:
    """What a page tells; a row without values where somebody is to be there, or is and says nothing, as suspended."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy knows nothing of our roles
    try:
        with direct.open(f"http://{address}/metrics", timeout=PAGE_SECONDS) as answer:
            values, role = _values(answer.read(MAX_PAGE_BYTES).decode("utf-8", "replace"))
    except ValueError:
        return None  # somebody who serves no metrics
    except (URLError, HTTPException, OSError) as error:
        is_silent = isinstance(getattr(error, "reason", error), TimeoutError)
        return (address, NO_ANSWER, False, *(None,) * (len(PAGE) - 3)) if is_silent or is_named else None
    if role is None:
        return None  # somebody else's page
    started_s, memory = values.get("process_start_time_seconds"), values.get("process_resident_memory_bytes")
    ready = values.get("obflow_ready")
    return (
        address,
        role,
        None if ready is None else bool(ready),
        _rounded(values.get("process_cpu_seconds_total"), 2),
        _rounded(memory / 1024**2 if memory is not None else None, 1),
        _rounded(time.time() - started_s if started_s is not None else None, 0),
    )


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _values(text: str) -> tuple[Mapping[str, float], str | None]:
    """Numbers without labels by name, the worst `obflow_ready`, and the role that the page is of."""
    values: dict[str, float] = {}
    role = None
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == "obflow_build_info":
                role = sample.labels.get("role")
            elif sample.name == "obflow_ready":
                values["obflow_ready"] = min(sample.value, values.get("obflow_ready", sample.value))
            elif not sample.labels:
                values[sample.name] = sample.value
    return values, role
