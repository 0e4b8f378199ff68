"""Dagster's own tools on a fresh checkout: they work without a setting and leave the tree clean."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from ccgi_pipeline.defs.reports import asset_name
from ccgi_pipeline.feeds.registry import FEEDS
from ccgi_pipeline.reports.registry import REPORTS

PROJECT = Path(__file__).parents[2]
SCRIPTS = Path(sys.executable).parent
PATIENCE = 180
"""Seconds: a code server imports a lot, and the machine may be busy."""
LEFT_BY_PYTHON = ("__pycache__/", "data/")
"""What may lie in the tree, beside what is committed: compiled modules, and the data folder."""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project as somebody has just cloned it."""
    copy = tmp_path_factory.mktemp("checkout") / "project"
    ignored = (".git", ".venv", "data", "__pycache__", ".*_cache", ".hypothesis", "*.egg-info")
    of_other_tests = ".tmp_dagster_home_*"  # a command of Dagster's that another process tests
    shutil.copytree(PROJECT, copy, ignore=shutil.ignore_patterns(*ignored, of_other_tests))
    author = ("-c", "user.name=A. Name", "-c", "user.email=a.name@example.org")
    for command in (("init", "-q"), ("add", "-A"), (*author, "commit", "-qm", "all of it")):
        subprocess.run(["git", *command], cwd=copy, check=True)
    return copy


@pytest.fixture(scope="module")
def environment(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Without a variable of the project or of Dagster; ``tree`` is what is imported."""
    others = {k: v for k, v in os.environ.items() if not k.startswith(("CCGI_", "DAGSTER_"))}
    home = str(tmp_path_factory.mktemp("home"))
    return {**others, "HOME": home, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": ""}


def changes(tree: Path) -> list[str]:
    """What git finds beside what was committed, also what it is told to ignore."""
    found = subprocess.run(
        ["git", "status", "--porcelain", "--ignored"],
        cwd=tree,
        check=True,
        capture_output=True,
        text=True,
    )
    return [line for line in found.stdout.splitlines() if not line.endswith(LEFT_BY_PYTHON)]


def dg(tree: Path, environment: Mapping[str, str], *arguments: str) -> str:
    done = subprocess.run(
        [SCRIPTS / "dg", *arguments],
        cwd=tree,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_dg_checks_the_definitions(tree: Path, environment: dict[str, str]) -> None:
    assert "All definitions loaded successfully" in dg(tree, environment, "check", "defs")
    assert changes(tree) == []


PLANTED = '''"""A module that somebody adds."""

import dagster as dg

planted = dg.AssetSpec("planted")


@dg.asset_check(asset="planted")
def standalone() -> dg.AssetCheckResult:
    """Stands by itself, beside no asset of its own."""
    return dg.AssetCheckResult(passed=True)
'''


@pytest.fixture
def planted(tree: Path) -> Iterator[None]:
    """A standalone asset and a standalone check, in a module of their own below ``defs``."""
    module = tree / "ccgi_pipeline" / "defs" / "planted.py"
    module.write_text(PLANTED)
    yield
    module.unlink()


@pytest.mark.slow
@pytest.mark.usefixtures("planted")
def test_dg_lists_all_that_stands_below_defs(tree: Path, environment: dict[str, str]) -> None:
    listed = json.loads(dg(tree, environment, "list", "defs", "--json"))
    assets = {asset["asset_key"]: asset for asset in listed["assets"]}
    assert {feed.name for feed in FEEDS} <= assets.keys()
    assert {asset_name(report) for report in REPORTS} <= assets.keys()
    assert assets["planted"]["owners"] == [{"team": "district-data"}]
    assert "planted:standalone" in {check["key"] for check in listed["asset_checks"]}
    assert changes(tree) == ["?? ccgi_pipeline/defs/planted.py"]


@pytest.mark.slow
@pytest.mark.parametrize("tool", ["dg", "dagster"])
def test_a_development_server_loads_the_project_and_leaves_nothing_in_the_tree(
    tree: Path, environment: dict[str, str], tool: str
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tree.parent / f"{tool}.log"
    with log.open("w") as output:
        server = subprocess.Popen(
            [SCRIPTS / tool, "dev", "--port", str(port)],
            cwd=tree,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=_listen_to_interrupts,  # noqa: PLW1509 - nothing else runs in this process
        )
        try:
            until = time.monotonic() + PATIENCE
            while not (told := _locations(port)):
                assert server.poll() is None, log.read_text()
                assert time.monotonic() < until, log.read_text()
                time.sleep(0.5)
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(timeout=PATIENCE)
    assert told == {"ccgi_pipeline": "RepositoryLocation"}
    assert changes(tree) == []


def _listen_to_interrupts() -> None:
    """Makes Ctrl-C end the server also where a shell began the tests in the background."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


QUERY = """{
  workspaceOrError {
    ... on Workspace { locationEntries { name locationOrLoadError { __typename } } }
  }
}"""


def _locations(port: int) -> dict[str, str]:
    """What the server has loaded, by name; nothing while it is not there yet."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/graphql",
        json.dumps({"query": QUERY}).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            entries = json.load(answer)["data"]["workspaceOrError"]["locationEntries"]
    except OSError:
        return {}
    loaded = {e["name"]: e["locationOrLoadError"] for e in entries if e["locationOrLoadError"]}
    return {name: kind["__typename"] for name, kind in loaded.items()}
