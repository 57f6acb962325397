"""Jars come through the real resolver from whatever repository the machine names, and only verified ones stay."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from embedded import jars
from embedded.jars import Jar, Lock, ensure_jars
from schemas.errors import EXIT_DEPENDENCY, DependencyError

pytestmark = pytest.mark.integration
CONTENTS = {"one": b"first jar " * 5000, "two": b"second jar " * 5000}
PATH = "/jars/org/example/{name}/1.0/{name}-1.0.jar"


class Repository(ThreadingHTTPServer):
    """A Maven repository on loopback that can misbehave."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = {PATH.format(name=name): content for name, content in CONTENTS.items()}
        self.misbehaviour: dict[str, str] = {}
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/jars"


class Handler(BaseHTTPRequestHandler):
    server: Repository

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        content = self.server.files.get(self.path)
        how = self.server.misbehaviour.get(self.path, "")
        if content is None or how == "missing":
            self.send_error(404)
            return
        if how == "broken":
            self.send_error(503)
            return
        if how == "other":
            content = b"x" * len(content)
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[:1000] if how == "cut" else content)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    """A repository that this machine's Maven settings name as the mirror of everything."""
    monkeypatch.setattr(jars, "RETRY_S", 0)
    home = tmp_path / "home"
    (home / ".m2").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    for variable in ("M2_REPO", "JGO_CONFIG_FILE", "XDG_CONFIG_HOME", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(variable, raising=False)
    with Repository() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        mirror = f"<mirror><url>{server.url}</url><mirrorOf>*</mirrorOf></mirror>"
        (home / ".m2" / "settings.xml").write_text(f"<settings><mirrors>{mirror}</mirrors></settings>")
        yield server
        server.shutdown()
        thread.join()


def lock(**contents: bytes) -> Lock:
    wanted = tuple(
        Jar(f"org.example:{name}:1.0", hashlib.sha256(content).hexdigest(), len(content))
        for name, content in (contents or CONTENTS).items()
    )
    return Lock(("org.example:one:1.0",), wanted)


def files(cache: Path) -> list[str]:
    return sorted(path.name for path in (cache / "jars").rglob("*"))


def test_jars_arrive_whole_and_are_not_asked_for_again(repository: Repository, tmp_path: Path) -> None:
    said: list[str] = []
    path = ensure_jars(tmp_path, lock(), said.append)
    assert [jar.read_bytes() for jar in path] == list(CONTENTS.values())
    assert said[0] == "downloading 2 of the Kafka broker's 2 jars (0.1 MB)"
    assert said[-1] == "0.1 of 0.1 MB"

    repository.shutdown()
    repository.asked.clear()
    said.clear()
    assert ensure_jars(tmp_path, lock(), said.append) == path
    assert repository.asked == said == []
    assert files(tmp_path) == [lock().digest[:16], "one-1.0.jar", "two-1.0.jar"]


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("other", "arrived with another content than the lock's SHA-256"),
        ("cut", "cannot be downloaded"),
        ("missing", "cannot be downloaded"),
        ("broken", "cannot be downloaded"),
    ],
)
def test_a_bad_download_is_one_sentence_and_heals_on_the_next_call(
    repository: Repository, tmp_path: Path, how: str, says: str
) -> None:
    repository.misbehaviour[PATH.format(name="two")] = how
    with pytest.raises(DependencyError, match=f"org.example:two:1.0 {says}") as caught:
        ensure_jars(tmp_path, lock())
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == EXIT_DEPENDENCY
    assert files(tmp_path) == [lock().digest[:16], "one-1.0.jar"], "nothing unverified stays"

    repository.misbehaviour.clear()
    repository.asked.clear()
    ensure_jars(tmp_path, lock())
    assert not any("one-1.0" in asked for asked in repository.asked), "what was good is kept"
    assert files(tmp_path) == [lock().digest[:16], "one-1.0.jar", "two-1.0.jar"]


def test_no_network_is_one_sentence(repository: Repository, tmp_path: Path) -> None:
    repository.shutdown()
    repository.server_close()
    with pytest.raises(DependencyError, match=r"cannot be downloaded: .*Connection refused") as caught:
        ensure_jars(tmp_path, lock())
    assert "\n" not in str(caught.value)
    assert "check the network" in str(caught.value)


@pytest.mark.parametrize("damage", [b"", CONTENTS["one"][:-1], b"X" + CONTENTS["one"][1:]])
def test_a_damaged_jar_in_the_cache_is_replaced(repository: Repository, tmp_path: Path, damage: bytes) -> None:
    first = ensure_jars(tmp_path, lock())[0]
    first.write_bytes(damage)
    repository.asked.clear()
    ensure_jars(tmp_path, lock())
    assert first.read_bytes() == CONTENTS["one"]
    assert not any("two-1.0" in asked for asked in repository.asked)


@pytest.mark.parametrize("local", [CONTENTS["one"], b"damaged"])
def test_mavens_own_repository_is_used_but_not_trusted(repository: Repository, tmp_path: Path, local: bytes) -> None:
    kept = Path.home() / ".m2" / "repository" / "org" / "example" / "one" / "1.0" / "one-1.0.jar"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(local)
    (jar,) = ensure_jars(tmp_path, lock(one=CONTENTS["one"]))
    assert jar.read_bytes() == CONTENTS["one"]
    assert bool(repository.asked) == (local == b"damaged")
    assert kept.read_bytes() == local, "it is only read"
