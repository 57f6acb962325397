"""Look for what would keep the pipeline from working, and say for each finding what mends it.

Checks are functions `(settings) -> list[Check]` named in the entry-point group `obflow.checks`, so that a role looks
after what only it knows. A check never raises for what it finds; whatever it does raise is itself a finding.
The audit, one entry point in `obflow.audits`, compares what is stored with an independent reading of the log.
"""

from __future__ import annotations

import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from importlib.metadata import EntryPoint, PackageNotFoundError, entry_points, requires, version
from importlib.util import find_spec
from typing import NamedTuple, Protocol

from confluent_kafka import libversion
from packaging.requirements import Requirement

from obflow.clock_offsets import ClockLook, clock_finding
from obflow.findings import Check as Check
from obflow.findings import failed
from obflow.logs import get_logger
from obflow.settings import Settings
from schemas.errors import DependencyError, PipelineError
from schemas.masking import mask_credentials

CHECK_GROUP = "obflow.checks"
AUDIT_GROUP = "obflow.audits"
DISTRIBUTION = "obflow"
EMBEDDED_PACKAGE = "jgo"  # is there with the extra `embedded`, and not in the image
OLDEST_PYTHON = (3, 11)
MIN_OPEN_FILES = 1024
MIN_FREE_BYTES = 2 * 1024**3
PATIENCE_SECONDS = 10.0
"""Several times what a record takes from the log into its table."""
EQUAL, DIFFERENT = "equal", "different"


class AuditLine(NamedTuple):
    """One more thing that an audit looked at, beside factor events.

    Attributes:
        name: What: a table, or another question put to log and tables.
        counts: What was counted, by name.
        problems: Why it is not well, a few words each; none where it is.
        notes: What else there is to know, though nothing is to be mended.
    """

    name: str
    counts: Mapping[str, int]
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class AuditReport(Protocol):
    """What an audit reports: the log, read independently from its start, against what is stored.

    It may also have `lines`, a sequence of `AuditLine`.

    Attributes:
        expected: Events that the log calls for.
        stored: Distinct identities of them that are stored.
        lost: Expected, but neither stored nor dead-lettered.
        duplicates: Stored rows beyond one an identity.
        instruments: The same numbers by `venue:symbol`.
        contents: By `venue:symbol`, `equal` or `different`: whether the stored numbers are those that the log gives.
            Anything else says why they cannot be compared. None where nobody asked.
    """

    @property
    def expected(self) -> int: ...  # noqa: D102 (described above)
    @property
    def stored(self) -> int: ...  # noqa: D102
    @property
    def lost(self) -> int: ...  # noqa: D102
    @property
    def duplicates(self) -> int: ...  # noqa: D102
    @property
    def instruments(self) -> Mapping[str, Mapping[str, int]]: ...  # noqa: D102
    @property
    def contents(self) -> Mapping[str, str] | None: ...  # noqa: D102


def examine(settings: Settings) -> list[Check]:
    """Run every check there is, in the order of their names."""
    findings: list[Check] = []
    for entry in sorted(entry_points(group=CHECK_GROUP), key=lambda entry: entry.name):
        findings += _run(entry, settings)
    return findings


def audit(settings: Settings, *, digests: bool = False, known_logs: Collection[str] = ()) -> AuditReport:
    """Compare what is stored with the log. What a pipeline at work has not stored yet, it waits for a while.

    Args:
        settings: All are passed on.
        digests: Whether to compute every event anew and compare what is stored to the bit.
        known_logs: Logs that are gone from the broker, whose rows are accepted without an audit.

    Raises:
        DependencyError: No audit is installed, or the broker or the database does not answer.
    """
    for entry in entry_points(group=AUDIT_GROUP):
        if entry.name == "audit":
            more = {"known_logs": known_logs} if known_logs else {}
            result: AuditReport = entry.load()(settings, patience_seconds=PATIENCE_SECONDS, digests=digests, **more)
            return result
    raise DependencyError("no audit is installed", next_step="`make setup` installs all of obflow")


def audit_lines(found: AuditReport) -> Sequence[AuditLine]:
    """What an audit looked at beside factor events."""
    lines: Sequence[AuditLine] = getattr(found, "lines", ())
    return lines


def audit_problems(found: AuditReport) -> list[str]:
    """Why an audit is not clean: instrument by instrument, then line by line; nothing where it is."""
    lines = [f"{line.name}: {', '.join(line.problems)}" for line in audit_lines(found) if line.problems]
    return [*event_problems(found), *lines]


def event_problems(found: AuditReport) -> list[str]:
    """Why the audit of factor events is not clean, and what is lost or doubled elsewhere without a line of its own."""
    if found.expected == 0:
        return ["the log holds no event to audit"]
    problems = []
    for name, counts in sorted(found.instruments.items()):
        wrong = [f"{counts[key]} {key}" for key in ("lost", "duplicates") if counts[key]]
        if counts.get("pending"):
            wrong.append(f"{counts['pending']} not processed yet")
        if (found.contents or {}).get(name) == DIFFERENT:
            wrong.append("stored numbers differ from those that the log gives with these settings")
        if counts["expected"] == 0:
            wrong.insert(0, "nothing expected")
        if wrong:
            problems.append(f"{name}: {', '.join(wrong)}")
    told = [*found.instruments.values(), *(line.counts for line in audit_lines(found))]
    for key, total in (("lost", found.lost), ("duplicates", found.duplicates)):
        elsewhere = total - sum(counts.get(key, 0) for counts in told)
        if elsewhere > 0:
            problems.append(f"trades: {elsewhere} {key}")
    return problems


def digests_equal(contents: Mapping[str, str]) -> bool | None:
    """Whether every instrument's stored numbers are those that the log gives; None where that cannot be told."""
    if DIFFERENT in contents.values():
        return False
    return True if contents and set(contents.values()) == {EQUAL} else None


def runtime_checks(settings: Settings) -> list[Check]:
    """Look at what the machine gives: Python, packages, open files, and a cache folder where something is cached."""
    # Only the embedded broker and engine keep anything there; an image without them may be read-only.
    cache = [_cache_folder(settings)] if find_spec(EMBEDDED_PACKAGE) else []
    return [_python(), _packages(), *cache, _open_files()]


def store_checks(settings: Settings) -> list[Check]:
    """Look at the database: whether it answers, how much room it has, and whether its clock is ours."""
    from obflow.clickhouse import connect

    with connect(settings.clickhouse, database="system", readonly=True) as client:
        free = int(client.query("SELECT min(unreserved_space) FROM system.disks").result_rows[0][0])
        asked_s = time.time()
        now_s = float(client.query("SELECT toUnixTimestamp64Nano(now64(9)) / 1e9").result_rows[0][0])
        look = ClockLook("ClickHouse", now_s, asked_s, time.time())
        address = mask_credentials(f"{settings.clickhouse.host}:{settings.clickhouse.port}")
        detail = f"ClickHouse {client.server_version} at {address}"
    low = free < MIN_FREE_BYTES
    return [
        Check("store", True, detail),
        Check("store room", not low, f"{free / 1024**3:.1f} GiB free", "free some of its disk" if low else ""),
        clock_finding("store clock", look),
    ]


def _run(entry: EntryPoint, settings: Settings) -> list[Check]:
    try:
        check: Callable[[Settings], Iterable[Check]] = entry.load()
        return list(check(settings))
    except PipelineError as error:
        return [failed(entry.name, error)]
    except Exception as error:  # a check that breaks is a finding, and must not hide the others'
        get_logger(__name__).debug("check_failed", check=entry.name, exc_info=error)
        why = mask_credentials(" ".join(str(error).split()))
        detail = f"the check itself failed: {type(error).__name__}: {why}"
        return [Check(entry.name, False, detail, "`obflow doctor -v` shows where")]


def _python() -> Check:
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info >= OLDEST_PYTHON:
        return Check("python", True, found)
    oldest = ".".join(map(str, OLDEST_PYTHON))
    return Check("python", False, f"{found} is older than {oldest}", f"install Python {oldest} or newer")


def _packages() -> Check:
    wanted = [Requirement(text) for text in requires(DISTRIBUTION) or []]
    needed = [item for item in wanted if item.marker is None or item.marker.evaluate({"extra": ""})]
    problems = [problem for item in needed if (problem := _package_problem(item))]
    if problems:
        return Check("packages", False, "; ".join(problems), "`make setup` installs what is missing")
    return Check("packages", True, f"{len(needed)} as required, librdkafka {libversion()[0]}")


def _package_problem(wanted: Requirement) -> str:
    try:
        found = version(wanted.name)
    except PackageNotFoundError:
        return f"{wanted.name} is missing"
    fits = wanted.specifier.contains(found, prereleases=True)
    return "" if fits else f"{wanted.name} is {found}, required {wanted.specifier}"


def _cache_folder(settings: Settings) -> Check:
    folder = settings.cache
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return Check(
            "cache folder", False, f"{folder} cannot be written ({error.strerror})", "set OBFLOW_CACHE to one that can"
        )
    detail = f"{folder}, {free / 1024**3:.1f} GiB free"
    low = free < MIN_FREE_BYTES
    return Check("cache folder", not low, detail, "free some space, or set OBFLOW_CACHE elsewhere" if low else "")


def _open_files() -> Check:
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY or limit >= MIN_OPEN_FILES:
        return Check("open files", True, "no limit" if limit == resource.RLIM_INFINITY else f"{limit} allowed")
    return Check(
        "open files",
        False,
        f"only {limit} allowed, {MIN_OPEN_FILES} needed",
        f"raise it with `ulimit -n {MIN_OPEN_FILES}`",
    )
