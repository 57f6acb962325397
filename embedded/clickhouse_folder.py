"""The engine's data folder before the engine opens it: ours alone, and with the configuration that keeps it inside.

The engine is told in its own configuration what no statement may do, whoever sends it: nothing is granted that reaches
files, addresses, programs, users or the server itself. Left to itself the library grants all of it, and lays a view of
the whole file system over the database `default`, where every path is a table.
"""

from __future__ import annotations

import fcntl
import uuid
from pathlib import Path
from typing import Final, TextIO

from schemas.errors import DependencyError

LOCK_FILE: Final = "obflow.lock"
READ_BY_ENGINE: Final = ("metadata", "metadata_dropped", "store", "data", "tmp", "flags", "config", "access", "status")
"""What the engine reads of the folder. Tokens, lock and log lie beside them, where no statement can get at them."""
NOTHING: Final = "config/nothing"
"""An empty folder, for whatever asks where files of users might be."""

# What is not granted is refused: all sources but tables (FILE, URL, REMOTE, S3 …), functions, dictionaries, users and
# grants, BACKUP, introspection and SYSTEM.
GRANTS: Final = (
    "SELECT, INSERT, ALTER, CREATE DATABASE, CREATE TABLE, CREATE VIEW, DROP, TRUNCATE, OPTIMIZE, SHOW, CHECK,"
    " KILL QUERY ON *.*"
)

# No path of ours stands in these files, nor in the address: a folder may be called by anything, and what ends a word in
# an address or cannot be written in XML would leave the engine without its configuration, and so wide open.
ADDRESS: Final = "../..?config-file=../engine.xml"
"""The engine's data and configuration, as seen from `NOTHING`, where the process stands that opens it."""
_USERS: Final = f"""<clickhouse>
  <profiles><default/></profiles>
  <quotas><default/></quotas>
  <users>
    <default>
      <password/>
      <networks><ip>::/0</ip></networks>
      <profile>default</profile>
      <quota>default</quota>
      <grants><query>GRANT {GRANTS}</query></grants>
    </default>
  </users>
</clickhouse>
"""
_CONFIG: Final = """<clickhouse>
  <users_config>../users.xml</users_config>
  <default_database/>
  <database>default</database>
  <user_files_path>.</user_files_path>
  <user_scripts_path>.</user_scripts_path>
  <format_schema_path>.</format_schema_path>
  <max_server_memory_usage_to_ram_ratio>0.5</max_server_memory_usage_to_ram_ratio>
</clickhouse>
"""


def prepare(folder: Path) -> None:
    """Make a folder ready to be opened; what it holds is kept.

    Args:
        folder: The data folder; created when missing.

    Raises:
        OSError: It cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)
    for name in READ_BY_ENGINE[:-1]:
        (folder / name).mkdir(exist_ok=True)
    (folder / READ_BY_ENGINE[-1]).touch()
    _plain_default_database(folder)
    (folder / NOTHING).mkdir(exist_ok=True)
    (folder / "config" / "users.xml").write_text(_USERS, "utf-8")
    (folder / "config" / "engine.xml").write_text(_CONFIG, "utf-8")


def _plain_default_database(folder: Path) -> None:
    """Declare `default` as a server would: a database of tables alone, and of the same tables as before."""
    declared, link = folder / "metadata" / "default.sql", folder / "metadata" / "default"
    if not declared.exists():
        identity = link.readlink().name if link.is_symlink() else str(uuid.uuid4())
        declared.write_text(f"ATTACH DATABASE _ UUID '{identity}'\nENGINE = Atomic\n", "utf-8")


def lock_folder(folder: Path) -> TextIO:
    """Take the folder, by a lock that the system frees however this process ends.

    Args:
        folder: The data folder; created when missing.

    Returns:
        What holds the lock: keep it open.

    Raises:
        DependencyError: Another process has it, or it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / LOCK_FILE).open("w")
    except OSError as error:
        raise DependencyError(
            f"the data folder {folder} cannot be used ({error.strerror})", next_step="choose another folder"
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise DependencyError(
            f"another embedded ClickHouse is using the data folder {folder}",
            next_step="connect to that one, stop it, or choose another folder",
        ) from None
    return lock
