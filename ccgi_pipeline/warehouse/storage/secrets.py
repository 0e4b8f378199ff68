"""The extensions and secrets that DuckDB needs to reach a catalog server or object storage.

Credentials are bound as values: no statement or message contains a password.
"""

from __future__ import annotations

from collections.abc import Mapping

import duckdb

from ccgi_pipeline.common.extensions import load_extension
from ccgi_pipeline.warehouse.storage import postgres
from ccgi_pipeline.warehouse.storage.location import (
    Bucket,
    Server,
)

CATALOG_SECRET = "ccgi_catalog"  # noqa: S105 - its name
"""What DuckDB knows of the server of the catalog, by its name there."""


def create_catalog_secret(connection: duckdb.DuckDBPyConnection, server: Server) -> None:
    """Tells DuckDB who asks the server, as values: no statement or message has the password."""
    load_extension(connection, "postgres_scanner")
    given = {
        "HOST": server.host,
        "PORT": server.port,
        "DATABASE": server.database,
        "USER": server.user,
        **({"PASSWORD": server.password} if server.password is not None else {}),
    }
    connection.execute(
        f"CREATE OR REPLACE SECRET {CATALOG_SECRET} (TYPE postgres, {_placeholders(given)})",
        [*given.values()],
    )


def catalog_source(server: Server) -> str:
    """How DuckLake finds the catalog; who asks and where is in the secret."""
    options = {"connect_timeout": str(postgres.TIMEOUT), **server.options}
    quoted_options = (
        "{}='{}'".format(name, value.replace("\\", "\\\\").replace("'", "\\'"))
        for name, value in options.items()
    )
    return f"ducklake:postgres:{' '.join(quoted_options)}"


def create_bucket_secret(connection: duckdb.DuckDBPyConnection, bucket: Bucket) -> None:
    """The same for object storage."""
    load_extension(connection, "httpfs")
    given: dict[str, object] = {
        "KEY_ID": bucket.key_id,
        "SECRET": bucket.secret,
        "REGION": bucket.region,
    }
    if bucket.endpoint is not None:
        # Stores of one's own have no name in DNS for each bucket.
        given |= {"ENDPOINT": bucket.endpoint, "URL_STYLE": "path", "USE_SSL": bucket.tls}
    connection.execute(
        f"CREATE OR REPLACE SECRET ccgi_tables (TYPE s3, {_placeholders(given)})", [*given.values()]
    )


def _placeholders(given: Mapping[str, object]) -> str:
    return ", ".join(f"{name} ?" for name in given)
