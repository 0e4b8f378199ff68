"""Where a warehouse's catalog is, and where the files of its tables are.

Belongs here: reading the location from the environment, and saving it in the warehouse's folder
(``warehouse.json``), so that a forgotten variable does not begin a new, empty warehouse beside the
existing one. Does not belong here: opening the catalog (connection), the server (postgres).

A warehouse whose catalog is in its own folder has no such file: its catalog can be seen there.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import psycopg2
from psycopg2.extensions import parse_dsn

from ccgi_pipeline.common.environment import read_variable
from ccgi_pipeline.common.errors import PermanentError

CATALOG_AT, PASSWORD = "CCGI_CATALOG", "CCGI_CATALOG_PASSWORD"
"""Environment variables: the database of the catalog, and its user's password (or ``_FILE``)."""
TABLES_AT = "CCGI_TABLES"
"""Where the tables' files are: ``s3://bucket/prefix``, or a folder that all machines share."""
S3_ENDPOINT, S3_REGION = "CCGI_S3_ENDPOINT", "CCGI_S3_REGION"
S3_KEY_ID, S3_SECRET = "CCGI_S3_KEY_ID", "CCGI_S3_SECRET"
"""The object storage: its address if it is not Amazon's, its region, key id and secret."""

CATALOG, TABLES = "catalog.sqlite", "tables"
"""Names in a warehouse's folder: the catalog, and the folder of the tables' files."""
CATALOG_LOGS = ("-wal", "-shm")
"""Suffixes of the files that SQLite keeps beside a catalog in use, or after a kill. The log holds
commits that the catalog does not have yet: both move, and are copied, together."""
ENCRYPTED_CATALOG = "catalog.duckdb"
"""The catalog of an encrypted warehouse."""
LOCATION_FILE = "warehouse.json"
"""The file that names a catalog outside the folder."""
S3 = "s3://"


class LocationError(PermanentError):
    """The environment and the warehouse do not agree where its catalog or tables are."""


@dataclass(frozen=True, slots=True)
class Server:
    """A PostgreSQL database. ``options`` are libpq's own, such as ``sslmode``; no secrets."""

    host: str
    port: int
    database: str
    user: str
    options: Mapping[str, str] = field(default_factory=dict)
    password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return f"postgresql://{self.user}@{self.host}:{self.port}/{self.database}"


@dataclass(frozen=True, slots=True)
class Bucket:
    """How to reach object storage. ``endpoint`` is a host with its port; None means Amazon's."""

    region: str
    key_id: str
    secret: str = field(repr=False)
    endpoint: str | None = None
    tls: bool = True


@dataclass(frozen=True, slots=True)
class WarehouseLocation:
    """Where the warehouse in ``folder`` has its catalog and its tables.

    ``server``: the database of the catalog; None if the catalog is in the folder. ``tables``: a
    folder or ``s3://…``. ``identity``: saved in both the folder and the database to prove that they
    belong together; None without a database, or before the first use. ``made``: the catalog exists.
    """

    folder: Path
    server: Server | None
    tables: str
    bucket: Bucket | None = None
    identity: str | None = None
    made: bool = False


def locate_warehouse(
    folder: Path, environment: Mapping[str, str] = os.environ
) -> WarehouseLocation:
    """Returns where the warehouse in ``folder`` is, or will be created.

    Raises LocationError if the environment contradicts the folder.
    """
    folder = folder.absolute()
    remembered = _remembered(folder)
    embedded = WarehouseLocation(folder, None, str(folder / TABLES))
    if remembered is not None and remembered["catalog"] is None:
        # A preview copy has its catalog in its folder whatever the environment says. The original
        # may have its tables in object storage.
        scattered = environment.get(TABLES_AT, "").startswith(S3)
        return replace(embedded, bucket=read_bucket(environment) if scattered else None)
    wanted = environment.get(CATALOG_AT)
    if remembered is None and (has_own_catalog(folder) or not wanted):
        if wanted:
            msg = (
                f"the catalog of the warehouse in {folder} is in that folder, and {CATALOG_AT} "
                "names a database: unset it, or move the warehouse there with `ccgi warehouse move "
                "--to-postgres` (docs/beyond-one-machine.md)"
            )
            raise LocationError(msg)
        if environment.get(TABLES_AT):
            msg = (
                f"{TABLES_AT} is set and {CATALOG_AT} is not: a catalog in the folder has its "
                "tables beside it. Set both, or unset both"
            )
            raise LocationError(msg)
        return embedded
    if not wanted:
        at = remembered["catalog"] if remembered else ""
        msg = (
            f"the catalog of the warehouse in {folder} is in {at}, and {CATALOG_AT} is not set: "
            "set it as it was (docs/beyond-one-machine.md)"
        )
        raise LocationError(msg)
    tables = read_tables_location(folder, environment)
    if remembered is not None and remembered["tables"] != _written(folder, tables):
        msg = (
            f"the tables of the warehouse in {folder} are in {remembered['tables']}, and "
            f"{TABLES_AT} names another place: set it as it was. If the files were moved, change "
            f"`tables` in {folder / LOCATION_FILE} as well"
        )
        raise LocationError(msg)
    return WarehouseLocation(
        folder,
        read_server(environment),
        tables,
        read_bucket(environment) if tables.startswith(S3) else None,
        str(remembered["id"]) if remembered else None,
        made=bool(remembered and remembered["made"]),
    )


def has_catalog_server(folder: Path) -> bool:
    """Returns whether the warehouse in ``folder`` has its catalog in a database.

    Only the folder is read, not the environment.
    """
    remembered = _remembered(folder.absolute())
    return remembered is not None and remembered["catalog"] is not None


def has_own_catalog(folder: Path) -> bool:
    """Returns whether there is a catalog in the folder itself."""
    catalogs = (folder / name for name in (CATALOG, ENCRYPTED_CATALOG))
    return any(catalog.exists() and catalog.stat().st_size for catalog in catalogs)


def read_server(environment: Mapping[str, str] = os.environ) -> Server:
    """Returns the database that the environment names. Raises LocationError."""
    try:
        parsed = parse_dsn(environment.get(CATALOG_AT, ""))
    except psycopg2.Error:
        parsed = {}
    if "password" in parsed:
        msg = f"{CATALOG_AT} holds a password: put it into {PASSWORD} or {PASSWORD}_FILE"
        raise LocationError(msg)
    named = [parsed.pop(name, "") for name in ("host", "port", "dbname", "user")]
    host, port, database, user = named
    if not (host and database and user and (port or "5432").isdecimal()):
        msg = f"{CATALOG_AT} names no database: it is written as postgresql://user@host:5432/name"
        raise LocationError(msg)
    password = read_variable(environment, PASSWORD, LocationError)
    return Server(
        host, int(port or 5432), database, user, parsed, password.strip() if password else None
    )


def read_tables_location(folder: Path, environment: Mapping[str, str] = os.environ) -> str:
    """Returns where the environment places the tables' files; by default in the folder."""
    tables = environment.get(TABLES_AT)
    if not tables:
        return str(folder.absolute() / TABLES)
    return tables.rstrip("/") if tables.startswith(S3) else str(Path(tables).absolute())


def read_bucket(environment: Mapping[str, str] = os.environ) -> Bucket:
    """Returns the object storage that the environment names. Raises LocationError."""
    key_id = environment.get(S3_KEY_ID)
    secret = read_variable(environment, S3_SECRET, LocationError)
    if not key_id or not secret:
        msg = f"{TABLES_AT} names object storage: set {S3_KEY_ID}, and {S3_SECRET} or its _FILE"
        raise LocationError(msg)
    endpoint = environment.get(S3_ENDPOINT) or None
    scheme, _, host = (endpoint or "").rpartition("://")
    return Bucket(
        environment.get(S3_REGION) or "us-east-1",
        key_id,
        secret.strip(),
        host.rstrip("/") or None,
        tls=scheme != "http",
    )


def save_location(where: WarehouseLocation, *, made: bool) -> WarehouseLocation:
    """Saves the location in the folder, with a new identity if it has none; returns it."""
    identity = where.identity or secrets.token_hex(16)
    _write(
        where.folder,
        {
            "id": identity,
            "catalog": str(where.server),
            "tables": _written(where.folder, where.tables),
            "made": made,
        },
    )
    return WarehouseLocation(where.folder, where.server, where.tables, where.bucket, identity, made)


def save_preview_location(folder: Path) -> None:
    """Marks the folder of a preview copy: its catalog is in the folder."""
    _write(folder, {"id": None, "catalog": None, "tables": None, "made": True})


def delete_location(folder: Path) -> None:
    """Deletes the saved location: the catalog is in the folder now."""
    (folder / LOCATION_FILE).unlink(missing_ok=True)


def _written(folder: Path, tables: str) -> str:
    """Returns ``tables`` as it is saved: relative if it is in the folder, which may be moved."""
    return TABLES if tables == str(folder / TABLES) else tables


def _write(folder: Path, memory: Mapping[str, object]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{LOCATION_FILE}.{os.getpid()}.part"
    part.write_text(json.dumps(memory, indent=2))
    part.replace(folder / LOCATION_FILE)


def _remembered(folder: Path) -> dict[str, object] | None:
    path = folder / LOCATION_FILE
    try:
        memory = json.loads(path.read_text())
        return {name: memory[name] for name in ("id", "catalog", "tables", "made")}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        msg = f"{path} is damaged: restore it from a backup of the warehouse folder"
        raise LocationError(msg) from None
