"""The broker's jars: a lock that belongs to its roots and names no host, and the mirrors this machine is set up for."""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path

import pytest

from embedded import jars, kafka
from embedded.jars import LOCK_PATH, ROOTS, Jar, Lock, load_lock, main, maven_mirror
from embedded.kafka import EmbeddedKafka
from schemas.errors import EXIT_FAILED, EXIT_USAGE, DependencyError, FatalError, UsageError

SETTINGS = """<?xml version="1.0"?>
<settings{namespace}><mirrors>
  <mirror><id>other</id><url>https://other.example/</url><mirrorOf>{other}</mirrorOf></mirror>
  <mirror><id>ours</id><url> https://ours.example/jars/ </url><mirrorOf>{ours}</mirrorOf></mirror>
</mirrors></settings>
"""
NAMESPACE = ' xmlns="urn:any:settings"'  # Maven's own differs from version to version, so any is taken


def settings(tmp_path: Path, ours: str, *, other: str = "snapshots", namespace: str = NAMESPACE) -> Path:
    path = tmp_path / "settings.xml"
    path.write_text(SETTINGS.format(namespace=namespace, ours=ours, other=other))
    return path


def test_the_committed_lock_is_whole() -> None:
    lock = load_lock()
    coordinates = [jar.coordinate for jar in lock.jars]
    assert set(ROOTS) <= set(coordinates)
    assert len(set(coordinates)) == len(coordinates)
    assert len({jar.filename for jar in lock.jars}) == len(lock.jars), "two jars would share a file"
    for jar in lock.jars:
        assert re.fullmatch(r"[\w.-]+:[\w.-]+:[\w.-]+", jar.coordinate)
        assert re.fullmatch(r"[0-9a-f]{64}", jar.sha256)
        assert 1_000 < jar.size_bytes < 20_000_000


def test_the_committed_lock_names_no_host() -> None:
    assert "://" not in LOCK_PATH.read_text()


def test_every_kafka_jar_of_the_lock_is_of_one_version() -> None:
    versions = {
        jar.coordinate.split(":")[2] for jar in load_lock().jars if jar.coordinate.startswith("org.apache.kafka:")
    }
    assert versions == {"4.1.0"}


def test_another_content_is_another_folder() -> None:
    jar = Jar("a:b:1", "0" * 64, 1)
    changed = Jar("a:b:1", "1" * 64, 1)
    assert Lock(("a:b:1",), (jar,)).digest != Lock(("a:b:1",), (changed,)).digest


def test_a_lock_of_other_roots_is_refused_with_the_command_that_mends_it(tmp_path: Path) -> None:
    document = json.loads(LOCK_PATH.read_text()) | {"roots": ["org.apache.kafka:kafka_2.13:3.9.0"]}
    path = tmp_path / "kafka.lock.json"
    path.write_text(json.dumps(document))
    with pytest.raises(FatalError, match=r"was made for org\.apache\.kafka:kafka_2\.13:3\.9\.0.*make lock"):
        load_lock(path)


@pytest.mark.parametrize("content", [None, "", "{", "[]", '{"roots": []}', '{"roots": [], "jars": [{"name": "x"}]}'])
def test_a_damaged_lock_is_one_sentence(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "kafka.lock.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(FatalError, match=r"kafka\.lock\.json cannot be read") as caught:
        load_lock(path)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == EXIT_FAILED


@pytest.mark.parametrize("pattern", ["central", "*", "external:*", "internal,central", "*,!snapshots"])
def test_a_mirror_of_central_is_used(tmp_path: Path, pattern: str) -> None:
    assert maven_mirror(settings(tmp_path, pattern)) == "https://ours.example/jars"


@pytest.mark.parametrize("pattern", ["snapshots", "*,!central", ""])
def test_a_mirror_of_something_else_is_not(tmp_path: Path, pattern: str) -> None:
    assert maven_mirror(settings(tmp_path, pattern)) is None


def test_the_first_mirror_that_fits_wins(tmp_path: Path) -> None:
    assert maven_mirror(settings(tmp_path, "central", other="*")) == "https://other.example"


def test_settings_without_a_namespace_are_read_too(tmp_path: Path) -> None:
    assert maven_mirror(settings(tmp_path, "*", namespace="")) == "https://ours.example/jars"


def test_settings_that_are_absent_or_broken_set_no_mirror(tmp_path: Path) -> None:
    assert maven_mirror(tmp_path / "settings.xml") is None
    (tmp_path / "settings.xml").write_text("<settings>")
    assert maven_mirror(tmp_path / "settings.xml") is None


def test_jars_are_kept_where_the_settings_file_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`make setup` and every command that starts a broker look into the same folder."""
    asked: list[Path] = []

    def ensure(cache: Path, **_: object) -> list[Path]:
        asked.append(cache)
        raise FatalError("enough is known")

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OBFLOW_CACHE", raising=False)
    monkeypatch.delenv("OBFLOW_CONFIG", raising=False)
    Path("obflow.toml").write_text('cache = "elsewhere"\n')
    monkeypatch.setattr(jars, "ensure_jars", ensure)
    monkeypatch.setattr(kafka, "ensure_jars", ensure)
    assert main(["fetch"]) == EXIT_FAILED
    with pytest.raises(FatalError, match="enough"):
        EmbeddedKafka(tmp_path / "data").start()
    with pytest.raises(FatalError, match="enough"):
        EmbeddedKafka(tmp_path / "data", cache=tmp_path / "named").start()
    assert asked == [Path("elsewhere"), Path("elsewhere"), tmp_path / "named"]


def test_a_relative_cache_gives_a_class_path_that_holds_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(jars, "_is_intact", lambda path, jar: True)
    (jar,) = jars.ensure_jars(Path("cache"), Lock(("a:b:1",), (Jar("a:b:1", "0" * 64, 1),)))
    assert jar.is_relative_to(tmp_path / "cache")


def test_a_broken_settings_file_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OBFLOW_CONFIG", raising=False)
    Path("obflow.toml").write_text("cache = \n")
    assert main(["fetch"]) == EXIT_USAGE
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("told", ["", "somebody's own list"])
def test_an_authority_only_the_system_knows_is_trusted_on_the_next_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str
) -> None:
    tried: list[str] = []

    def download(coordinate: str, staging: Path, *, use_local: bool) -> Path:
        tried.append(os.environ["REQUESTS_CA_BUNDLE"])
        if tried[-1] != str(tmp_path / "system.pem"):
            raise OSError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed certificate in certificate chain")
        (staging / "b.jar").write_bytes(b"jar")
        return staging / "b.jar"

    (tmp_path / "system.pem").touch()
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "system.pem"))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", told)
    monkeypatch.setenv("CURL_CA_BUNDLE", "")
    monkeypatch.setattr(jars, "RETRY_S", 0)
    monkeypatch.setattr(jars, "_resolve", download)
    lock = Lock(("a:b:1",), (Jar("a:b:1", hashlib.sha256(b"jar").hexdigest(), 3),))
    if told:
        with pytest.raises(DependencyError, match="CERTIFICATE_VERIFY_FAILED"):
            jars.ensure_jars(tmp_path, lock)
        assert set(tried) == {told}
    else:
        jars.ensure_jars(tmp_path, lock)
        assert tried == ["", str(tmp_path / "system.pem")]


def test_an_unknown_word_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["install"]) == EXIT_USAGE
    assert "fetch|lock" in capsys.readouterr().err


def test_a_cache_that_cannot_be_written_is_one_sentence_and_nothing_is_downloaded(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    said: list[str] = []
    with pytest.raises(
        UsageError, match=r"the cache folder .* cannot be written \(Not a directory\): set OBFLOW_CACHE"
    ):
        jars.ensure_jars(tmp_path / "file" / "cache", report=said.append)
    assert not said
