"""A named warehouse leaves alone what other warehouses of the same Dagster deployment have there.

Belongs here: names of assets, checks and partitions, and reading runs. Whole nights of several
warehouses are in ``test_several_warehouses``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import yaml

from ccgi_pipeline.common.environment import WAREHOUSE_NAME
from ccgi_pipeline.defs import code_location
from ccgi_pipeline.defs.code_location import (
    LOCATION,
    WAREHOUSE_TAG,
    WarehouseNameError,
    own_runs,
    read_warehouse_name,
)
from ccgi_pipeline.defs.heartbeat import read_orchestrator_state
from ccgi_pipeline.runtime.dagster_instance import fail_dead_runs

PROJECT = Path(__file__).parents[2]

_LIST_NAMES = """
import json
from ccgi_pipeline.definitions import defs
from ccgi_pipeline.defs.district_partitions import DISTRICTS
loaded = defs()
graph = loaded.resolve_asset_graph()
print(json.dumps({
    "assets": [key.path for key in graph.get_all_asset_keys()],
    "checks": [key.asset_key.path for key in graph.asset_check_keys],
    "partitions": DISTRICTS.name,
    "tags": [dict(loaded.resolve_job_def(job).tags) for job in ("night", "delivery")],
}))
"""


def test_all_that_a_named_warehouse_has_in_dagster_bears_its_name() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _LIST_NAMES],
        env={**os.environ, WAREHOUSE_NAME: "alameda"},
        cwd=PROJECT,
        check=True,
        capture_output=True,
        text=True,
    )
    named = json.loads(done.stdout)
    assert len(named["assets"]) > 50
    assert {path[0] for path in (*named["assets"], *named["checks"])} == {"alameda"}
    assert named["partitions"] == "alameda_district"
    assert [tags[WAREHOUSE_TAG] for tags in named["tags"]] == ["alameda", "alameda"]


@pytest.mark.parametrize("name", ["Alameda", "los angeles", "1st", "a/b", "a-b", "a" * 41])
def test_a_name_that_cannot_begin_an_assets_key_is_refused(name: str) -> None:
    with pytest.raises(WarehouseNameError, match=WAREHOUSE_NAME):
        read_warehouse_name({WAREHOUSE_NAME: name})


def test_without_a_name_nothing_bears_one() -> None:
    assert read_warehouse_name({WAREHOUSE_NAME: ""}) is None
    assert own_runs().tags == {}


def test_a_run_by_hand_is_of_the_code_location_that_the_ui_loads() -> None:
    (loaded,) = yaml.safe_load((PROJECT / "workspace.yaml").read_text())["load_from"]
    tools = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["dg"]["project"]
    assert loaded["python_module"]["location_name"] == LOCATION == tools["code_location_name"]


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """An instance in which alameda, this warehouse, and butte have a night under way each."""
    monkeypatch.setattr(code_location, "RUN_TAGS", {WAREHOUSE_TAG: "alameda"})
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        for name in ("alameda", "butte"):
            instance.add_run(
                dg.DagsterRun(
                    job_name="night",
                    run_id=name,
                    status=dg.DagsterRunStatus.STARTED,
                    tags={WAREHOUSE_TAG: name},
                )
            )
        yield instance


def test_only_its_own_dead_runs_are_recorded_as_failed(shared: dg.DagsterInstance) -> None:
    fail_dead_runs(shared)
    by_warehouse = {
        record.dagster_run.tags[WAREHOUSE_TAG]: record.dagster_run.status
        for record in shared.get_run_records()
    }
    assert by_warehouse == {
        "alameda": dg.DagsterRunStatus.FAILURE,
        "butte": dg.DagsterRunStatus.STARTED,
    }


def test_another_warehouses_nights_are_no_news(shared: dg.DagsterInstance) -> None:
    fail_dead_runs(shared)
    told = read_orchestrator_state(shared)
    assert told.running_since is None, "butte's run is not this warehouse's"
    assert [failed.job for failed in told.failed] == ["night"]
    assert told.last_success is None
