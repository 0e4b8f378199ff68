"""The secrets that DuckDB needs to reach a catalog server or object storage.

Belongs here: credentials as bound values, so that no statement or message contains a password. Does
not belong here: reading credentials from the environment (location), extensions
(common.extensions).
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
"""The name of DuckDB's secret for the server of the catalog."""


def create_catalog_secret(connection: duckdb.DuckDBPyConnection, server: Server) -> None:
    """Creates DuckDB's secret for the server of the catalog."""
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
    """Returns the catalog's address for DuckLake; host, user and password are in the secret."""
    options = {"connect_timeout": str(postgres.TIMEOUT), **server.options}
    quoted_options = (
        "{}='{}'".format(name, value.replace("\\", "\\\\").replace("'", "\\'"))
        for name, value in options.items()
    )
    return f"ducklake:postgres:{' '.join(quoted_options)}"


def create_bucket_secret(connection: duckdb.DuckDBPyConnection, bucket: Bucket) -> None:
    """Creates DuckDB's secret for the object storage of the tables' files."""
    load_extension(connection, "httpfs")
    given: dict[str, object] = {
        "KEY_ID": bucket.key_id,
        "SECRET": bucket.secret,
        "REGION": bucket.region,
    }
    if bucket.endpoint is not None:
        # A self-hosted store has no DNS name for each bucket.
        given |= {"ENDPOINT": bucket.endpoint, "URL_STYLE": "path", "USE_SSL": bucket.tls}
    connection.execute(
        f"CREATE OR REPLACE SECRET ccgi_tables (TYPE s3, {_placeholders(given)})", [*given.values()]
    )


def _placeholders(given: Mapping[str, object]) -> str:
    return ", ".join(f"{name} ?" for name in given)
