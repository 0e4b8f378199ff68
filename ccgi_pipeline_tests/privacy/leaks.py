"""Assets that let a value slip, one for each thing of theirs that Dagster stores.

Belongs here: leaks that are planted so that the search for them is known to work.
"""

from collections.abc import Callable, Mapping

import dagster as dg
import duckdb
import pandera.polars as pa
import polars as pl

from ccgi_pipeline.common.errors import value_free


def _in_metadata(instance: dg.DagsterInstance, value: str) -> None:
    @dg.asset
    def leaking() -> dg.MaterializeResult[None]:
        return dg.MaterializeResult(metadata={"sample": value})

    dg.materialize([leaking], instance=instance)


def _in_a_table(instance: dg.DagsterInstance, value: str) -> None:
    @dg.asset
    def leaking() -> dg.MaterializeResult[None]:
        table = dg.MetadataValue.table([dg.TableRecord({"first lines": value})])
        return dg.MaterializeResult(metadata={"sample": table})

    dg.materialize([leaking], instance=instance)


def _in_a_log(instance: dg.DagsterInstance, value: str) -> None:
    @dg.asset
    def leaking(context: dg.AssetExecutionContext) -> None:
        context.log.info("could not read %s", value)

    dg.materialize([leaking], instance=instance)


def _in_an_exception(instance: dg.DagsterInstance, value: str) -> None:
    @dg.asset
    def leaking() -> None:
        raise ValueError(value)

    dg.materialize([leaking], instance=instance, raise_on_error=False)


def _in_a_tag(instance: dg.DagsterInstance, value: str) -> None:
    @dg.asset
    def leaking() -> None:
        """Nothing."""

    dg.materialize([leaking], instance=instance, tags={"file": value})


def _in_the_configuration(instance: dg.DagsterInstance, value: str) -> None:
    @dg.asset(config_schema={"student": str})
    def leaking() -> None:
        """Nothing."""

    config = {"ops": {"leaking": {"config": {"student": value}}}}
    dg.materialize([leaking], instance=instance, run_config=config)


LEAKS: Mapping[str, Callable[[dg.DagsterInstance, str], None]] = {
    "metadata": _in_metadata,
    "a table": _in_a_table,
    "a log": _in_a_log,
    "an exception": _in_an_exception,
    "a tag": _in_a_tag,
    "the configuration": _in_the_configuration,
}
"""By what holds the value."""


def faults_of_libraries(value: str) -> Mapping[str, Callable[[], object]]:
    """What quotes ``value`` when it fails."""
    cells = pl.DataFrame({"cell": [value]})
    schema = pa.DataFrameSchema({"cell": pa.Column(pl.String, pa.Check.isin(["good"]))})
    return {
        "python": lambda: int(value),
        "polars": lambda: cells.select(pl.col("cell").cast(pl.Int64)),
        "duckdb": lambda: duckdb.execute("SELECT ?::INTEGER", [value]).fetchall(),
        "pandera": lambda: schema.validate(cells),
        "a_disk": lambda: open(f"/nowhere/{value}"),  # noqa: PTH123
    }


def fail_without_words(instance: dg.DagsterInstance, value: str) -> int:
    """Has Dagster run each fault as our steps are run; says how many failed."""

    def failing(name: str, fault: Callable[[], object]) -> dg.AssetsDefinition:
        @dg.asset(name=f"failing_in_{name}")
        def asset() -> None:
            value_free(fault)()

        return asset

    faults = faults_of_libraries(value)
    assets = [failing(name, fault) for name, fault in faults.items()]
    ended = dg.materialize(assets, instance=instance, raise_on_error=False)
    return len([event for event in ended.all_events if event.is_step_failure])
