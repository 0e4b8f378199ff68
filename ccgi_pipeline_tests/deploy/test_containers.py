"""The files below deploy: that what they name is there, as they name it.

Belongs here: all that can be told without a Docker machine or a cluster. Does not belong here: the
login (test_access).
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click
import dagster as dg
import pytest
import yaml
from dagster_k8s.job import UserDefinedDagsterK8sConfig

from ccgi_pipeline.cli import main
from ccgi_pipeline.defs.code_location import WAREHOUSE_TAG, read_warehouse_name
from ccgi_pipeline.runtime.dagster_instance import DAGSTER_DATABASE
from ccgi_pipeline.warehouse.storage.location import read_server
from ccgi_pipeline_tests.postgresql import USER, PostgreSql

PROJECT = Path(__file__).parents[2]
COMPOSE, HELM = PROJECT / "deploy" / "compose", PROJECT / "deploy" / "helm"
OURS = "ccgi-pipeline"
SECRETS = "/run/secrets/"


def _compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((COMPOSE / "compose.yaml").read_text())
    return found


def _values() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((HELM / "values.yaml").read_text())
    return found


def _deployments() -> list[dict[str, Any]]:
    """The code locations, one for each warehouse."""
    found: list[dict[str, Any]] = _values()["dagster-user-deployments"]["deployments"]
    return found


def _variables(deployment: Mapping[str, Any]) -> dict[str, str]:
    return {variable["name"]: variable["value"] for variable in deployment["env"]}


def _settings() -> dict[str, Any]:
    """Dagster's settings outside of Kubernetes."""
    found: dict[str, Any] = yaml.safe_load((PROJECT / "deploy" / "dagster.yaml").read_text())
    return found


def _pipelines() -> dict[str, dict[str, Any]]:
    """The services that run our image."""
    services: dict[str, dict[str, Any]] = _compose()["services"]
    return {name: s for name, s in services.items() if s["image"].startswith(OURS)}


SERVICES = ["ui", "look"]


def test_the_services_are_those_that_the_tests_know() -> None:
    assert sorted(_pipelines()) == sorted(SERVICES)


# --- names ----------------------------------------------------------------------------------------


def test_every_variable_of_the_files_is_one_that_is_read() -> None:
    code = [*(PROJECT / "ccgi_pipeline").rglob("*.py"), PROJECT / "deploy" / "auth" / "Caddyfile"]
    read = set(re.findall(r"CCGI_[A-Z0-9_]+", " ".join(path.read_text() for path in code)))
    folders = (COMPOSE, HELM, PROJECT / "deploy" / "systemd", PROJECT / "deploy")
    files = [path for folder in folders for path in folder.iterdir() if path.is_file()]
    named = set(re.findall(r"CCGI_[A-Z0-9_]+", " ".join(path.read_text() for path in files)))
    assert len(named) > 10
    assert {name.removesuffix("_FILE") for name in named} <= read


@pytest.mark.parametrize("service", SERVICES)
def test_every_command_is_one_of_ours_with_its_options(service: str, tmp_path: Path) -> None:
    program, name, *options = _pipelines()[service]["command"]
    here = [option.replace("/srv/ccgi", str(tmp_path)) for option in options]
    for folder in ("inbox", "outbox", "warehouse"):
        (tmp_path / folder).mkdir()  # as the image has them
    assert program == "ccgi"
    command = main.get_command(click.Context(main), name)
    assert command is not None
    with command.make_context(name, here) as context:
        environment = _pipelines()[service]["environment"]
        for folder in ("inbox", "outbox", "warehouse"):
            assert context.params[folder] == tmp_path / folder
            assert environment[f"CCGI_{folder.upper()}"] == f"/srv/ccgi/{folder}"


def test_the_image_leaves_the_command_to_others_and_nobodys_user_runs_it() -> None:
    lines = (COMPOSE / "Dockerfile").read_text().splitlines()
    # The chart's pods say `dagster api grpc ...` and `dagster api execute_run ...` as arguments.
    assert not [line for line in lines if line.startswith("ENTRYPOINT")]
    assert 'CMD ["ccgi", "--help"]' in lines
    assert "USER 10001:10001" in lines
    for pod in (deployment["podSecurityContext"] for deployment in _deployments()):
        assert (pod["runAsUser"], pod["runAsNonRoot"]) == (10001, True)


def test_what_the_image_copies_is_there_and_not_ignored() -> None:
    lines = (COMPOSE / "Dockerfile").read_text().splitlines()
    copied = [n for line in lines if re.match(r"COPY (?!--)", line) for n in line.split()[1:-1]]
    assert len(copied) > 4
    assert all((PROJECT / name).exists() for name in copied)
    kept = (PROJECT / ".dockerignore").read_text().splitlines()
    assert {f"!{name}" for name in copied} <= set(kept)


# --- versions -------------------------------------------------------------------------------------


def test_every_image_has_a_version() -> None:
    images = [service["image"] for service in _compose()["services"].values()]
    made = re.findall(r"(?m)^FROM (\S+)", (COMPOSE / "Dockerfile").read_text())
    values = _values()
    of_chart = [
        values["dagsterWebserver"]["image"],
        values["dagsterDaemon"]["image"],
        *(deployment["image"] for deployment in _deployments()),
    ]
    images += [*made, *(f"{image['repository']}:{image['tag']}" for image in of_chart)]
    assert len(images) > 8
    assert [image for image in images if not re.search(r":\d+\.\d+", image)] == []


def test_versions_are_those_of_the_project() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    assert {s["image"] for s in _pipelines().values()} == {f"{OURS}:{project['version']}"}
    assert {str(one["image"]["tag"]) for one in _deployments()} == {project["version"]}
    for part in ("dagsterWebserver", "dagsterDaemon"):
        assert str(_values()[part]["image"]["tag"]) == dg.__version__
    assert f"--version {dg.__version__} " in (HELM / "values.yaml").read_text()


def test_the_lock_of_the_image_has_the_projects_pins_and_what_dagster_needs_there() -> None:
    def pins(name: str) -> dict[str, str]:
        found = re.findall(
            r"(?m)^([a-z0-9._-]+)(?:\[[^\]]+\])?==(\S+)", (PROJECT / name).read_text()
        )
        return dict(found)

    project, image = pins("requirements.lock"), pins("requirements-deploy.lock")
    assert len(project) > 50
    assert {name: image.get(name) for name in project} == project
    assert {"dagster-k8s", "dagster-postgres"} <= set(image)
    assert not {"celery", "dagster-celery", "redis"} & set(image)
    extra = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    for wanted in extra["optional-dependencies"]["deploy"]:
        name, version = re.sub(r"\[.*\]", "", wanted).split("==")
        assert image[name] == version


# --- secrets --------------------------------------------------------------------------------------


@pytest.mark.parametrize("service", SERVICES)
def test_every_secret_is_a_file_that_the_service_is_given(service: str) -> None:
    given = _pipelines()[service]
    files = {n: v for n, v in given["environment"].items() if n.endswith("_FILE")}
    assert {path.removeprefix(SECRETS) for path in files.values()} == set(given["secrets"])
    assert set(given["secrets"]) <= set(_compose()["secrets"])
    plain = " ".join(v for n, v in given["environment"].items() if n not in files)
    assert not re.search(r"://[^/@\s]*:[^/@\s]+@", plain), "a password among the variables"


def test_values_hold_no_secret() -> None:
    text = (HELM / "values.yaml").read_text()
    assert not re.search(r"://[^/@\s]*:[^/@\s]+@", text)
    assert "postgresqlPassword" not in text
    named = {name for deployment in _deployments() for name in _variables(deployment)}
    assert not [name for name in named if re.search("PASSWORD|SECRET|KEY|DAGSTER", name)]


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """What the script makes, in a copy of the folder."""
    shutil.copy(COMPOSE / "secrets.sh", tmp_path)
    subprocess.run([tmp_path / "secrets.sh"], check=True, capture_output=True)
    return tmp_path / "secrets"


def test_the_script_makes_every_secret_for_its_owner_alone_and_keeps_what_there_is(
    secrets: Path,
) -> None:
    (env_file,) = _compose()["services"]["login"]["env_file"]
    named = [entry["file"] for entry in _compose()["secrets"].values()]
    made = [secrets.parent / path for path in (*named, env_file["path"])]
    assert all(path.stat().st_size and not path.stat().st_mode & 0o077 for path in made)
    before = {path: path.read_bytes() for path in made}
    subprocess.run([secrets.parent / "secrets.sh"], check=True, capture_output=True)
    assert {path: path.read_bytes() for path in made} == before


def _as_in_the_container(secrets: Path) -> Mapping[str, str]:
    environment: dict[str, str] = _pipelines()["ui"]["environment"]
    return {
        name: value.replace(SECRETS, f"{secrets}/") if name.endswith("_FILE") else value
        for name, value in environment.items()
    }


def test_the_settings_of_the_containers_are_ones_that_work_together(secrets: Path) -> None:
    environment = _as_in_the_container(secrets)
    server = read_server(environment)
    assert server.password == (secrets / "postgres_password").read_text()
    databases = (COMPOSE / "databases.sql").read_text()
    made = {*re.findall(r"CREATE DATABASE (\w+);", databases)}
    made.add(_compose()["services"]["postgres"]["environment"]["POSTGRES_DB"])
    runs = Path(environment[f"{DAGSTER_DATABASE}_FILE"]).read_text()
    assert {server.database, runs.rpartition("/")[2]} == made
    assert f":{server.password}@{server.host}:" in runs


# --- the rest -------------------------------------------------------------------------------------


def test_every_service_says_whether_it_is_well() -> None:
    assert [n for n, s in _compose()["services"].items() if not s["healthcheck"]["test"]] == []


def test_nothing_but_the_login_is_reached_from_outside() -> None:
    services = _compose()["services"]
    assert [name for name, service in services.items() if "ports" in service] == ["login"]
    # The UI listens on 127.0.0.1 of the login's network, where nobody else is.
    assert {services[name]["network_mode"] for name in ("ui", "look")} == {"service:login"}
    assert "--read-only" in services["look"]["command"]
    assert _compose()["networks"]["inside"]["internal"]
    assert _values()["dagsterWebserver"]["service"]["type"] == "ClusterIP"


def _as_the_chart_writes_it() -> dict[str, Any]:
    """The part of dagster.yaml that the chart makes of daemon and compute logs."""
    values = _values()
    kept = values["computeLogManager"]["config"]["customComputeLogManager"]
    daemon = values["dagsterDaemon"]
    queue = daemon["runCoordinator"]["config"]["queuedRunCoordinator"]
    return {
        "concurrency": {
            "runs": {
                "max_concurrent_runs": queue["maxConcurrentRuns"],
                "tag_concurrency_limits": queue["tagConcurrencyLimits"],
            }
        },
        "run_monitoring": {
            "enabled": daemon["runMonitoring"]["enabled"],
            "max_runtime_seconds": daemon["runMonitoring"]["maxRuntimeSeconds"],
        },
        "run_retries": {
            "enabled": daemon["runRetries"]["enabled"],
            "max_retries": daemon["runRetries"]["maxRetries"],
            "retry_on_asset_or_op_failure": daemon["runRetries"]["retryOnAssetOrOpFailure"],
        },
        "compute_logs": {"module": kept["module"], "class": kept["class"]},
        "telemetry": {"enabled": values["telemetry"]["enabled"]},
    }


def test_the_chart_is_told_what_the_settings_outside_of_kubernetes_say() -> None:
    told, settings = _as_the_chart_writes_it(), _settings()
    assert told == {name: settings[name] for name in told}


def test_dagster_takes_the_settings_and_allows_one_run_a_warehouse_and_keeps_no_output(
    tmp_path: Path, database_server: PostgreSql, monkeypatch: pytest.MonkeyPatch
) -> None:
    word = quote(database_server.password)
    address = f"{USER}:{word}@127.0.0.1:{database_server.port}/{database_server.new_database()}"
    monkeypatch.setenv(DAGSTER_DATABASE, f"postgresql+psycopg2://{address}")
    shutil.copy(PROJECT / "deploy" / "dagster.yaml", tmp_path)
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        queue = instance.get_concurrency_config().run_queue_config
        assert queue.tag_concurrency_limits == [
            {"key": WAREHOUSE_TAG, "value": {"applyLimitPerUniqueValue": True}, "limit": 1}
        ]
        assert queue.max_concurrent_runs > 1
        assert (instance.run_retries_enabled, instance.run_retries_max_retries) == (True, 3)
        assert not instance.run_retries_retry_on_asset_or_op_failure
        assert instance.run_monitoring_enabled
        assert type(instance.compute_log_manager).__name__ == "NoOpComputeLogManager"
        assert instance.get_runs() == []


def test_the_launcher_of_the_chart_takes_its_settings() -> None:
    config = _values()["runLauncher"]["config"]["k8sRunLauncher"]["runK8sConfig"]
    pod = UserDefinedDagsterK8sConfig.from_dict({"pod_spec_config": config["podSpecConfig"]})
    (near,) = pod.pod_spec_config["affinity"]["pod_affinity"][
        "required_during_scheduling_ignored_during_execution"
    ]
    (label,) = near["match_label_keys"]
    assert [one["labels"][label] for one in _deployments()] == [
        one["name"] for one in _deployments()
    ]


def test_no_warehouse_of_the_chart_has_anything_of_anothers() -> None:
    deployments = _deployments()
    assert len(deployments) > 1
    for one in deployments:
        variables = _variables(one)
        assert read_warehouse_name(variables) == one["name"]
        assert one["includeConfigInLaunchedRuns"]["enabled"]
        (mount,), (volume,) = one["volumeMounts"], one["volumes"]
        assert volume["name"] == mount["name"]
        folders = [variables[name] for name in ("CCGI_INBOX", "CCGI_OUTBOX", "CCGI_WAREHOUSE")]
        assert all(folder.startswith(f"{mount['mountPath']}/") for folder in folders)
    own = [
        (
            one["volumes"][0]["persistentVolumeClaim"]["claimName"],
            one["envSecrets"][0]["name"],
            _variables(one)["CCGI_CATALOG"],
            read_server(_variables(one)).user,
            _variables(one)["CCGI_TABLES"],
        )
        for one in deployments
    ]
    assert all(len(set(kind)) == len(deployments) for kind in zip(*own, strict=True))


# --- systemd --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["night", "housekeeping"])
def test_the_units_of_systemd_are_told_folders_that_they_may_write_and_no_secret(name: str) -> None:
    folder = PROJECT / "deploy" / "systemd"
    variables = dict(
        line.split("=", 1)
        for line in (folder / "alameda.env").read_text().splitlines()
        if line and not line.startswith("#")
    )
    unit = (folder / f"ccgi-{name}@.service").read_text()
    (writable,) = re.findall(r"(?m)^ReadWritePaths=(.*)$", unit)
    for place in ("CCGI_INBOX", "CCGI_OUTBOX", "CCGI_WAREHOUSE"):
        assert variables[place].startswith(f"{writable.replace('%i', 'alameda')}/")
    assert read_server(variables).database == "ccgi_alameda"
    assert not [variable for variable in variables if re.search("PASSWORD|SECRET", variable)]
    given = re.findall(r"(CCGI_\w+_FILE)=%d/(\w+)", unit)
    assert {file for _, file in given} == set(re.findall(r"(?m)^LoadCredential=(\w+):", unit))
    assert (folder / f"ccgi-{name}@.timer").exists()
