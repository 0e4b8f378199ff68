"""The definitions as a whole: they load, and tell all about an asset before the first run."""

from __future__ import annotations

import logging
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from ccgi_pipeline.definitions import FRESH, OWNERS, apply_policy, defs
from ccgi_pipeline.defs.automation import DAILY_ASSETS
from ccgi_pipeline.feeds.registry import FAMILIES, FEEDS
from ccgi_pipeline.feeds.sources import DISTRICT_DATA_SHARING, DOCUMENTS
from ccgi_pipeline.reports.registry import REPORTS
from ccgi_pipeline.runtime.dagster_instance import prepare_dagster_home

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def loaded() -> dg.Definitions:
    return defs()


@pytest.fixture(scope="module")
def specs(loaded: dg.Definitions) -> dict[str, dg.AssetSpec]:
    return {
        spec.key.to_user_string(): spec
        for asset in loaded.assets or []
        if isinstance(asset, dg.AssetsDefinition)
        for spec in asset.specs
    }


def test_there_is_an_asset_for_every_feed_family_report_and_step(
    specs: dict[str, dg.AssetSpec],
) -> None:
    assert set(specs) == {
        "received_drops",
        *(f"verified_{family}" for family in FAMILIES),
        *(feed.name for feed in FEEDS),
        *(f"report_{report.name}" for report in REPORTS),
        "receipts",
        "foster_focus_child_match",
        "eligibility",
        "application_ssids",
        "college_download",
        "identity_uniqueness",
        "deliveries",
        "district_pages",
        "state_page",
        "district_night",
        "district_status",
    }


def test_nothing_that_stands_below_defs_is_lost() -> None:
    @dg.asset_check(asset="planted")
    def standalone() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=True)

    @dg.logger
    def planted_logger(_: dg.InitLoggerContext) -> logging.Logger:
        return logging.getLogger("planted")

    today, theirs = DAILY_ASSETS[0], dg.FreshnessPolicy.time_window(fail_window=timedelta(days=9))
    planted = dg.Definitions(
        assets=[
            dg.AssetSpec("planted", freshness_policy=theirs),
            dg.AssetSpec("owned", owners=["team:others"]),
            dg.AssetSpec(today),
        ],
        asset_checks=[standalone],
        loggers={"planted": planted_logger},
        metadata={"planted": "here"},
    )
    kept = apply_policy(planted)
    assert kept.resolve_asset_graph().asset_check_keys == {
        dg.AssetCheckKey(dg.AssetKey("planted"), "standalone")
    }
    assert kept.loggers == planted.loggers
    assert kept.metadata == planted.metadata
    specs = {spec.key: spec for spec in kept.resolve_all_asset_specs()}
    planted_spec, owned = specs[dg.AssetKey("planted")], specs[dg.AssetKey("owned")]
    assert (planted_spec.owners, planted_spec.freshness_policy) == (OWNERS, theirs)
    assert (owned.owners, owned.freshness_policy) == (["team:others"], None)
    assert (specs[today].owners, specs[today].freshness_policy) == (OWNERS, FRESH)


def test_every_asset_says_what_it_is_whose_it_is_and_of_which_kind(
    specs: dict[str, dg.AssetSpec],
) -> None:
    for spec in specs.values():
        assert spec.description
        assert spec.owners
        assert spec.kinds
        assert spec.group_name not in {None, "default"}


def test_what_every_night_makes_is_stale_without_one(
    specs: dict[str, dg.AssetSpec], tmp_path: Path
) -> None:
    judged = {name for name, spec in specs.items() if spec.freshness_policy is not None}
    assert judged == {key.to_user_string() for key in DAILY_ASSETS}
    with dg.DagsterInstance.from_config(str(prepare_dagster_home(tmp_path))) as instance:
        assert instance.freshness_enabled


@pytest.mark.parametrize("feed", FEEDS, ids=lambda feed: feed.name)
def test_a_feeds_columns_are_shown_before_the_first_run(
    specs: dict[str, dg.AssetSpec], feed: object
) -> None:
    shown = specs[feed.name].metadata["dagster/column_schema"]
    assert [(c.name, c.type) for c in shown.columns] == [
        (column.name, str(column.type)) for column in feed.columns.values()
    ]


@pytest.mark.parametrize("report", REPORTS, ids=lambda report: report.name)
def test_a_report_comes_after_the_tables_that_its_query_reads(
    specs: dict[str, dg.AssetSpec], report: object
) -> None:
    depends = {dep.asset_key.to_user_string() for dep in specs[f"report_{report.name}"].deps}
    assert {"transcript_student", "cde_directory"} <= depends
    assert depends <= {feed.name for feed in FEEDS} | {"eligibility"}


@pytest.mark.parametrize(
    ("report", "read"),
    [("goals", {"platform_goals"}), ("csu_eligibility", {"eligibility"})],
)
def test_a_report_comes_after_its_events_or_the_evaluation(
    specs: dict[str, dg.AssetSpec], report: str, read: set[str]
) -> None:
    depends = {dep.asset_key.to_user_string() for dep in specs[f"report_{report}"].deps}
    assert depends == {"transcript_student", "cde_directory"} | read


def test_receipts_come_after_everything_that_they_answer(specs: dict[str, dg.AssetSpec]) -> None:
    depends = {dep.asset_key.to_user_string() for dep in specs["receipts"].deps}
    assert {feed.name for feed in FEEDS} <= depends


def test_rosters_are_compared_once_both_are_there(specs: dict[str, dg.AssetSpec]) -> None:
    depends = {dep.asset_key.to_user_string() for dep in specs["verified_oneroster"].deps}
    assert {"transcript_student", "cde_directory"} <= depends


def test_the_night_does_everything_but_single_districts(loaded: dg.Definitions) -> None:
    job = loaded.resolve_job_def("night")
    selected = {key.to_user_string() for key in job.asset_layer.executable_asset_keys}
    assert "receipts" in selected
    assert "district_night" not in selected


@pytest.mark.parametrize("resource", ["folders", "warehouse"])
def test_whoever_starts_a_run_cannot_point_it_at_other_folders(
    loaded: dg.Definitions, resource: str
) -> None:
    job = loaded.resolve_job_def("night")
    date = {"night": {"config": {"date": "2026-11-22"}}}
    assert dg.validate_run_config(job, {"resources": date})
    for name in ("inbox", "outbox", "warehouse", "database"):
        config = {"resources": {**date, resource: {"config": {name: "elsewhere"}}}}
        with pytest.raises(dg.DagsterInvalidConfigError, match=f'unexpected config entry "{name}"'):
            dg.validate_run_config(job, config)


def test_sources_are_called_by_their_titles(specs: dict[str, dg.AssetSpec]) -> None:
    told = [f"{spec.description} {spec.metadata}" for spec in specs.values()]
    assert not [words for words in told if any(document.file in words for document in DOCUMENTS)]
    assert any(DISTRICT_DATA_SHARING.title in words for words in told)


@pytest.mark.slow
def test_dagster_validates_the_workspace(tmp_path: Path) -> None:
    validated = subprocess.run(
        [
            Path(sys.executable).with_name("dagster"),
            *("definitions", "validate", "-w", PROJECT / "workspace.yaml"),
        ],
        cwd=PROJECT,
        env={
            "DAGSTER_HOME": str(tmp_path),
            "PATH": "/usr/bin:/bin",
            "CCGI_INBOX": str(tmp_path / "inbox"),
            "CCGI_OUTBOX": str(tmp_path / "outbox"),
            "CCGI_WAREHOUSE": str(tmp_path / "warehouse"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert validated.returncode == 0, validated.stdout + validated.stderr
    for word in ("DeprecationWarning", "PreviewWarning", "BetaWarning"):
        assert word not in validated.stderr
