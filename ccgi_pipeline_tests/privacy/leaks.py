"""Assets that let a value slip, one for each thing of theirs that Dagster stores.

Belongs here: leaks that are planted so that the search for them is known to work.
"""

from collections.abc import Callable, Mapping

import dagster as dg


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
