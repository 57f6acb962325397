"""The engine's data folder before the engine opens it: private, and with the configuration that keeps it inside.

The engine is told in its own configuration what no statement may do, whoever sends it: nothing is granted that reaches
files, addresses, programs, users or the server itself. Left to itself the library grants all of it, and lays a view of
the whole file system over the database `default`, where every path is a table.
"""

from __future__ import annotations

import string
import uuid
from pathlib import Path
from typing import Final

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

_USERS: Final = """
profiles: {{default: {{}}}}
quotas: {{default: {{}}}}
users:
  default:
    password: ""
    networks: {{ip: "::/0"}}
    profile: default
    quota: default
    grants: {{query: "GRANT {grants}"}}
"""
_CONFIG: Final = """
users_config: {users}
default_database: ""
database: default
user_files_path: {nothing}
user_scripts_path: {nothing}
format_schema_path: {nothing}
max_server_memory_usage_to_ram_ratio: 0.5
"""
_PLAIN: Final = frozenset(string.ascii_letters + string.digits + "/._-")


def prepare(folder: Path) -> Path:
    """Make a folder ready to be opened; what it holds is kept.

    Args:
        folder: The data folder; created when missing.

    Returns:
        The engine's configuration file.

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
    return _configure(folder)


def _configure(folder: Path) -> Path:
    users, config = folder / "config" / "users.yaml", folder / "config" / "engine.yaml"
    users.write_text(_USERS.format(grants=GRANTS), "utf-8")
    config.write_text(_CONFIG.format(users=_quoted(users), nothing=_quoted(folder / NOTHING)), "utf-8")
    return config


def _quoted(path: Path) -> str:
    """Write a path for YAML: a folder may be called by anything, and XML has no way to write a control character."""
    return '"' + "".join(one if one in _PLAIN else f"\\U{ord(one):08x}" for one in str(path)) + '"'


def _plain_default_database(folder: Path) -> None:
    """Declare `default` as a server would: a database of tables alone, and of the same tables as before."""
    declared, link = folder / "metadata" / "default.sql", folder / "metadata" / "default"
    if not declared.exists():
        identity = link.readlink().name if link.is_symlink() else str(uuid.uuid4())
        declared.write_text(f"ATTACH DATABASE _ UUID '{identity}'\nENGINE = Atomic\n", "utf-8")
