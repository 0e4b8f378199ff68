"""Tables with a line of each student of the canaries in every feed."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import polars as pl
import pytest

from ccgi_pipeline.feeds.registry import FAMILIES
from ccgi_pipeline.warehouse.load import application_ssids
from ccgi_pipeline.warehouse.queries import rosters
from ccgi_pipeline.warehouse.storage.schema import create_missing_tables
from ccgi_pipeline_tests.files import ON, as_bytes, usual_name, verified
from ccgi_pipeline_tests.privacy.canaries import good


@pytest.fixture(scope="module")
def planted() -> Iterator[duckdb.DuckDBPyConnection]:
    """Today's tables in memory, with a line of each student in each of them."""
    with duckdb.connect() as connection:
        connection.execute("ATTACH ':memory:' AS lake")
        connection.execute("USE lake")
        create_missing_tables(connection)
        for family, spec in FAMILIES.items():
            sent = {usual_name(feed): as_bytes(feed, good(feed)) for feed in spec.feeds}
            accepted = verified(sent, family).accepted
            for feed in spec.feeds:
                columns = [*feed.columns, "_sender"]
                connection.register("given", accepted[feed.name].select(columns).to_arrow())
                connection.execute(
                    f"INSERT INTO {feed.name} BY NAME SELECT *, true AS _active FROM given"  # noqa: S608
                )
                connection.unregister("given")
        rosters.create_views(connection)
        answers = pl.DataFrame(
            schema=dict.fromkeys(("app_id", "answer", "SSID", "fields"), pl.String)
        )
        answers.extend(pl.DataFrame([["1", "found", "1", ""]], schema=answers.schema, orient="row"))
        application_ssids.record_answers(connection, answers, ON)
        yield connection
