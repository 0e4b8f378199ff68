"""The PostgreSQL server that holds a warehouse's catalog, apart from what DuckLake does there.

Belongs here: connecting, which warehouse a database belongs to, locks that all machines see, and
what the server's refusals mean. Does not belong here: reading and writing the catalog (DuckLake).
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from ccgi_pipeline.common.errors import (
    PermanentError,
    PipelineError,
    UnreachableError,
    catalog_damaged_error,
)
from ccgi_pipeline.warehouse.storage.location import (
    CATALOG_AT,
    PASSWORD,
    LocationError,
    Server,
    WarehouseLocation,
)

TIMEOUT = 10
"""Seconds to wait for a connection."""
_LOCK = (0x63636769, 1)
"""The key of the writers' advisory lock; a database has one warehouse."""


class CatalogRefusedError(PermanentError):
    """The database of the catalog refuses a password, a name or a right. Somebody must act."""


@contextmanager
def connect(server: Server) -> Iterator[Connection]:
    """Opens a connection that commits every statement at once.

    Raises UnreachableError if the server does not answer, CatalogRefusedError if it refuses.
    """
    try:
        connection = psycopg2.connect(
            host=server.host,
            port=server.port,
            dbname=server.database,
            user=server.user,
            # With None, libpq looks into PGPASSFILE or ~/.pgpass.
            password=server.password,
            application_name="ccgi",
            connect_timeout=TIMEOUT,
            # A lock is held for a night without traffic; a firewall must not drop the connection.
            keepalives_idle=60,
            **server.options,
        )
    except psycopg2.Error as error:
        raise _refusal(server, str(error)) from None
    with closing(connection):
        connection.autocommit = True
        try:
            yield connection
        except psycopg2.Error as error:
            raise _refusal(server, str(error)) from None


_REFUSALS = (
    (
        ("password authentication failed", "no password supplied", "pg_hba.conf"),
        f"refuses the user: look at the name in {CATALOG_AT} and at {PASSWORD} or its _FILE",
    ),
    (
        ('" does not exist',),
        f"does not know that database or user: make it, or correct {CATALOG_AT}",
    ),
    (
        ("permission denied", "must be owner"),
        "does not let the user do that: make the user its owner (ALTER DATABASE … OWNER TO …)",
    ),
    (
        ("server does not support SSL", "certificate verify failed", "root certificate file"),
        f"cannot be reached over TLS as {CATALOG_AT} asks for: look at sslmode and sslrootcert",
    ),
)
"""Words of the server when it refuses, and what they mean."""


def _refusal(server: Server, message: str) -> PipelineError:
    for words, meaning in _REFUSALS:
        if any(word in message for word in words):
            return CatalogRefusedError(f"the database {server} {meaning}")
    return UnreachableError(f"the database {server} cannot be reached: try again when it is up")


def claim_database(where: WarehouseLocation, *, make: bool) -> None:
    """Makes sure that the database holds this warehouse's catalog.

    ``make``: an empty database becomes this warehouse's. Raises LocationError if it is another
    warehouse's, CatalogDamagedError if the catalog should be there and is not.
    """
    server = where.server
    if server is None:
        msg = "a catalog in a folder is claimed by its lock"
        raise ValueError(msg)
    with connect(server) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('ccgi_warehouse'), to_regclass('ducklake_metadata')")
        (ours, lake), found = cursor.fetchone() or (None, None), None
        if ours is not None:
            cursor.execute("SELECT id FROM ccgi_warehouse")
            found = next(iter(cursor.fetchone() or ()), None)
        if found is not None and found == where.identity and (lake is not None or not where.made):
            return
        if found is not None or (lake is not None and not where.made):
            msg = (
                f"the database {server} holds the catalog of another warehouse than {where.folder}:"
                f" name an empty database in {CATALOG_AT}, or the warehouse that it belongs to"
            )
            raise LocationError(msg)
        if where.made or not make:
            gone = f"is gone from the database {server}"
            raise catalog_damaged_error(gone, "the database and the warehouse folder")
    record_owner(server, where.identity or "")


def record_owner(server: Server, identity: str) -> None:
    """Records in the database which warehouse's catalog it holds."""
    with connect(server) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS ccgi_warehouse (id text NOT NULL)")
        cursor.execute("INSERT INTO ccgi_warehouse VALUES (%s)", [identity])


def has_catalog(server: Server) -> bool:
    """Returns whether the database holds a catalog, or a part of one."""
    with connect(server) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('ccgi_warehouse'), to_regclass('ducklake_metadata')")
        used: bool = cursor.fetchone() != (None, None)
        return used


@contextmanager
def writer_lock(server: Server, busy: PipelineError) -> Iterator[None]:
    """Holds the writers' lock; it ends with the process, on whatever machine that runs.

    Raises ``busy`` if another process has it.
    """
    with connect(server) as connection:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", _LOCK)
            if cursor.fetchone() != (True,):
                raise busy
        try:
            yield
        finally:
            # Closing the connection releases the lock too, but the server may take a moment.
            with suppress(psycopg2.Error), connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s, %s)", _LOCK)


def rewrite_catalog(server: Server, statement: str) -> None:
    """Executes one statement on the catalog's tables and rewrites their files.

    Until then the files still contain deleted and changed rows. (So do the server's write-ahead log
    and its backups, as long as they are kept: docs/beyond-one-machine.md.)
    """
    with connect(server) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        cursor.execute("VACUUM FULL")


def read_catalog_tables(server: Server) -> Iterator[tuple[str, bytes]]:
    """Yields the catalog's tables by name, each with all its rows as text."""
    with connect(server) as connection, connection.cursor() as cursor:
        # Makes text that is stored as bytes readable.
        cursor.execute("SET bytea_output = 'escape'")
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")
        for (table,) in cursor.fetchall():
            rows = io.BytesIO()
            named = sql.Identifier(table)
            cursor.copy_expert(sql.SQL("COPY {} TO STDOUT").format(named), rows)
            yield table, rows.getvalue()
