"""The jars of the embedded Kafka broker: a committed lock, a verified cache, a clean retry.

`kafka.lock.json` names every artifact by its Maven coordinate, its SHA-256 and its size, and no host. `jgo`
fetches them from the repository this machine is set up for: the mirror of `central` in `~/.m2/settings.xml`
and the repositories of jgo's own configuration file where there are any, else Maven Central. What Maven has
already downloaded is used from its local repository. Nothing reaches the class path before its SHA-256 matches.

    python -m embedded.jars fetch        fills the setting `cache` (what `make setup` calls)
    python -m embedded.jars lock         resolves ROOTS anew and rewrites the lock
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import ssl
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from embedded.process import Asked, go_on_unless, nobody
from obflow.settings import Settings
from obflow.terminal import tell, tell_error
from schemas.errors import EXIT_DONE, EXIT_USAGE, DependencyError, FatalError, UsageError

ROOTS = (
    "org.apache.kafka:kafka_2.13:4.1.0",
    "org.apache.logging.log4j:log4j-slf4j-impl:2.24.3",  # binds the broker's slf4j 1.7 to the log4j it ships
)
LOCK_PATH = Path(__file__).with_name("kafka.lock.json")
REGENERATE = "make lock"
TIMEOUT_S = 30
ATTEMPTS = 3
RETRY_S = 0.5
PARALLEL = 8

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Jar:
    """One locked artifact.

    Args:
        coordinate: `group:artifact:version`.
        sha256: Of the jar, hexadecimal.
        size_bytes: Of the jar.
    """

    coordinate: str
    sha256: str
    size_bytes: int

    @property
    def filename(self) -> str:
        """The jar's file name in a Maven repository."""
        _, artifact, version = self.coordinate.split(":")
        return f"{artifact}-{version}.jar"


@dataclass(frozen=True)
class Lock:
    """Every jar of the broker.

    Args:
        roots: What was asked for.
        jars: What it resolves to, in class path order.
    """

    roots: tuple[str, ...]
    jars: tuple[Jar, ...]

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the coordinates and hashes: names the cache folder, so that a new lock never sees old jars."""
        content = "\n".join(f"{jar.coordinate} {jar.sha256}" for jar in self.jars)
        return hashlib.sha256(content.encode()).hexdigest()


def load_lock(path: Path = LOCK_PATH) -> Lock:
    """Read the committed lock.

    Args:
        path: The lock file.

    Raises:
        FatalError: It is missing, is not what `lock` writes, or no longer belongs to `ROOTS`.
    """
    try:
        document = json.loads(path.read_text("utf-8"))
        lock = Lock(tuple(document["roots"]), tuple(Jar(**entry) for entry in document["jars"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FatalError(
            f"the broker's lock {path.name} cannot be read: {error}",
            next_step=f"restore it from git, or write it anew with `{REGENERATE}`",
        ) from error
    if lock.roots != ROOTS:
        raise FatalError(
            f"the broker's lock {path.name} was made for {', '.join(lock.roots)}, not for {', '.join(ROOTS)}",
            next_step=f"run `{REGENERATE}` and commit it",
        )
    return lock


def ensure_jars(
    cache: Path, lock: Lock | None = None, report: Report | None = None, unless: Asked = nobody
) -> list[Path]:
    """Make every locked jar present and verified, downloading only what is missing or damaged.

    Args:
        cache: Where to keep them: the setting `cache`.
        lock: Which jars; the committed lock by default.
        report: Told in a sentence what is being downloaded; silent when everything is there.
        unless: Asked before each download; those under way are ended first.

    Returns:
        The class path, in the lock's order, as absolute paths.

    Raises:
        StopAsked: Somebody asked to; what has come is kept.
        DependencyError: A jar cannot be fetched, or the repository serves another one than the lock names.
        UsageError: A jar is missing and the cache cannot be written.
    """
    lock = lock or load_lock()
    folder = cache.absolute() / "jars" / lock.digest[:16]
    missing = [jar for jar in lock.jars if not _is_intact(folder / jar.filename, jar)]
    if missing:
        _require_writable(folder)
        if report:
            megabytes = sum(jar.size_bytes for jar in missing) / 1e6
            report(f"downloading {len(missing)} of the Kafka broker's {len(lock.jars)} jars ({megabytes:.1f} MB)")
        with ThreadPoolExecutor(PARALLEL) as pool:
            # Consumed in full, so that the first failure is raised after every other download has ended.
            _count(missing, pool.map(lambda jar: _fetch(jar, folder, unless), missing), report)
    return [folder / jar.filename for jar in lock.jars]


def _count(missing: list[Jar], fetched: Iterable[None], report: Report | None) -> None:
    """Wait for each download, and tell of every further tenth."""
    total, come, told = sum(jar.size_bytes for jar in missing), 0, 0
    for jar, _ in zip(missing, fetched, strict=True):
        come += jar.size_bytes
        if report and come * 10 // total > told:
            told = come * 10 // total
            report(f"{come / 1e6:.1f} of {total / 1e6:.1f} MB")


def _require_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise UsageError(
            f"the cache folder {folder} cannot be written ({error.strerror})",
            next_step="set OBFLOW_CACHE to one that can",
        ) from None


def _is_intact(path: Path, jar: Jar) -> bool:
    """Whether the file is there, whole and the one the lock names."""
    try:
        return path.stat().st_size == jar.size_bytes and _sha256(path) == jar.sha256
    except (FileNotFoundError, NotADirectoryError):
        return False


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _fetch(jar: Jar, folder: Path, unless: Asked) -> None:
    """Bring one jar into the folder under its final name, only once it is whole and verified."""
    problem = ""
    for attempt in range(ATTEMPTS):
        time.sleep(RETRY_S * attempt)
        go_on_unless(unless)
        # A fresh folder each time: what a broken attempt left behind is never looked at again.
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=folder) as staging:
            try:
                # Maven's own repository is worth one look; should it hold a damaged file, the next try goes past it.
                downloaded = _resolve(jar.coordinate, Path(staging), use_local=attempt == 0)
            except (
                OSError,
                RuntimeError,
            ) as error:  # requests' errors are OSErrors; jgo's "not found" is a RuntimeError
                problem = f"{jar.coordinate} cannot be downloaded: {_last_words(error)}"
                if "CERTIFICATE_VERIFY_FAILED" in problem:
                    _trust_what_the_system_trusts()
                continue
            if _is_intact(downloaded, jar):
                verified = Path(shutil.copyfile(downloaded, Path(staging) / f"{jar.filename}.verified"))
                verified.replace(folder / jar.filename)
                return
            problem = f"{jar.coordinate} arrived with another content than the lock's SHA-256 {jar.sha256[:12]}… names"
    raise DependencyError(
        f"the Kafka broker's jar {problem}",
        next_step="check the network, the proxy and the Maven mirror of this machine, then run the same command again; "
        "what is already downloaded is kept",
    )


def _trust_what_the_system_trusts() -> None:
    """Let requests, which jgo downloads with, use the system's certificates in place of the list it carries.

    Behind a proxy with an authority of its own only the system's store knows that authority. Who has told requests
    what to trust is left alone.
    """
    paths = ssl.get_default_verify_paths()
    store = paths.cafile or paths.capath
    if store and not (os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")):
        os.environ["REQUESTS_CA_BUNDLE"] = store


def _last_words(error: BaseException) -> str:
    """The innermost cause of an error, on one line: requests wraps the telling part several times."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__ or error
    return " ".join(str(error).split()) or type(error).__name__


def _resolve(coordinate: str, staging: Path, *, use_local: bool) -> Path:
    """Fetch one pinned artifact through jgo: no dependency is looked at, so no POM is fetched."""
    context = _maven(staging, use_local=use_local)
    path: Path = context.create_dependency(f"{coordinate}!").artifact.resolve()
    return path


def _maven(staging: Path, *, use_local: bool) -> Any:  # noqa: ANN401 - jgo publishes no types
    try:
        from jgo.config import GlobalSettings
        from jgo.constants import default_maven_repo
        from jgo.maven import MavenContext
    except ImportError as error:
        raise DependencyError(
            "the package jgo, which downloads the Kafka broker's jars, is not installed",
            next_step="run `make setup`, or `pip install obflow[embedded]`",
        ) from error
    repositories = dict(GlobalSettings.load().repositories)
    mirror = maven_mirror(Path.home() / ".m2" / "settings.xml")
    if mirror:
        repositories["mirror"] = mirror
    return MavenContext(
        repo_cache=staging,
        local_repos=[default_maven_repo()] if use_local else [],
        remote_repos=repositories or None,  # None: Maven Central, as jgo knows it
        timeout=TIMEOUT_S,
    )


def maven_mirror(settings: Path) -> str | None:
    """The URL of the mirror that a Maven settings file sets up for Maven Central.

    Args:
        settings: The user's `settings.xml`; it need not exist.

    Returns:
        The URL without a trailing slash, or None where there is no such mirror.
    """
    try:
        root = ElementTree.parse(settings).getroot()  # noqa: S314 - the user's own configuration file
    except (FileNotFoundError, ElementTree.ParseError):
        return None
    for mirror in root.findall("{*}mirrors/{*}mirror"):
        url = mirror.findtext("{*}url", "").strip()
        if url and _mirrors_central(mirror.findtext("{*}mirrorOf", "")):
            return url.rstrip("/")
    return None


def _mirrors_central(pattern: str) -> bool:
    """Maven's `mirrorOf` rules, for the repository `central`: an exclusion wins over a wildcard."""
    names = {name.strip() for name in pattern.split(",")}
    return "!central" not in names and bool(names & {"*", "central", "external:*"})


def write_lock(path: Path = LOCK_PATH) -> Lock:
    """Resolve `ROOTS` with jgo's Python resolver, download each jar, and write the lock.

    Args:
        path: The lock file to (re)write.

    Returns:
        What was written.
    """
    with tempfile.TemporaryDirectory() as staging:
        context = _maven(Path(staging), use_local=False)
        # "!" keeps each root's own dependency management: unmarked, log4j's would pull kafka-clients back to 3.8.
        roots = [context.create_dependency(f"{root}!") for root in ROOTS]
        for root in roots:
            root.scope = "compile"
        direct, transitive = context.resolver.resolve(roots)
        needed = [dependency.artifact for dependency in direct]
        needed += sorted(
            (dependency.artifact for dependency in transitive if dependency.scope in {"compile", "runtime"}), key=str
        )
        with ThreadPoolExecutor(PARALLEL) as pool:
            jars = tuple(pool.map(_locked, needed))
    lock = Lock(ROOTS, jars)
    document = {"roots": lock.roots, "jars": [asdict(jar) for jar in lock.jars]}
    path.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    return lock


def _locked(artifact: Any) -> Jar:  # noqa: ANN401 - jgo publishes no types
    path: Path = artifact.resolve()
    return Jar(f"{artifact.groupId}:{artifact.artifactId}:{artifact.version}", _sha256(path), path.stat().st_size)


def class_path(jars: Iterable[Path]) -> str:
    """The jars as Java's `-cp` takes them."""
    return os.pathsep.join(str(jar) for jar in jars)


def main(arguments: list[str]) -> int:
    """`fetch` fills the cache, `lock` rewrites the lock; anything else is a usage error."""
    if arguments == ["lock"]:
        lock = write_lock()
        tell(f"{LOCK_PATH.name}: {len(lock.jars)} jars for {', '.join(lock.roots)}")
        return EXIT_DONE
    if arguments != ["fetch"]:
        tell("usage: python -m embedded.jars fetch|lock")
        return EXIT_USAGE
    said: list[str] = []
    before_s = time.monotonic()

    def report(sentence: str) -> None:
        said.append(sentence)
        tell(sentence)

    try:
        ensure_jars(Settings.load().cache, report=report)
    except FatalError as error:
        tell_error(error)
        return error.exit_code
    if said:
        tell(f"==> broker jars: {time.monotonic() - before_s:.1f} s")
    return EXIT_DONE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
