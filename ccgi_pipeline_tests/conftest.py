"""What tests of several rooms use, and what is dear to start."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ccgi_pipeline.common.environment import THREADS
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline_tests.object_storage import ObjectStorage, object_storage
from ccgi_pipeline_tests.postgresql import PostgreSql, postgresql
from ccgi_pipeline_tests.small_state import make_small_state
from ccgi_pipeline_tests.tiers import rank_file

if TYPE_CHECKING:
    from playwright.sync_api import Browser


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--passed-to",
        type=Path,
        metavar="FILE",
        help="append the names of the tests that passed to FILE, for .ci/run",
    )


def pytest_configure(config: pytest.Config) -> None:
    # A fifth of the collection's time, with Python's default of 700 objects.
    gc.set_threshold(50_000)
    # pytest-xdist sets 80 in its processes, as if there were a terminal.
    os.environ.pop("COLUMNS", None)
    file = config.getoption("--passed-to")
    if file is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_PassedTests(file))


class _PassedTests:
    """Notes each test that ran and passed, so none that was skipped or expected to fail."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and report.passed:
            with self._file.open("a", encoding="utf-8") as names:
                names.write(f"{report.nodeid}\n")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker("browser")
    items.sort(key=lambda item: rank_file(item.path.as_posix()))


def pytest_collection_finish() -> None:
    """Spares the garbage collector ten thousand tests, which stay until the end."""
    gc.collect()
    gc.freeze()


def pytest_xdist_auto_num_workers() -> int:
    """Three processes for two cores: tests of servers wait for a part of their time."""
    return max(2, (os.cpu_count() or 1) * 3 // 2)


@pytest.fixture(scope="session")
def database_server() -> Iterator[PostgreSql]:
    """A PostgreSQL server for all tests of one process; each takes databases of its own."""
    with postgresql() as running:
        yield running


@pytest.fixture
def catalog_in_postgresql(database_server: PostgreSql, monkeypatch: pytest.MonkeyPatch) -> str:
    """Has warehouses that are begun have their catalog in a new database, whose name it is."""
    name = database_server.new_database()
    for variable, value in database_server.environment(name).items():
        monkeypatch.setenv(variable, value)
    return name


@pytest.fixture(scope="session")
def store() -> Iterator[ObjectStorage]:
    """An object store for all tests of one process; each takes a prefix of its own."""
    with object_storage() as running:
        yield running


_CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


# No longer than a module: while it is open, an event loop runs in the thread, and Dagster wants one
# of its own.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's chromium, without a window; ``CHROMIUM`` names another program.

    A page that nobody has looked at is not tested, so a missing browser is a failure.
    """
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - few tests need it

    program = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, _CHROMIUM)), None)
    if program is None:
        pytest.fail("no chromium: install Debian's package `chromium`, or name one in CHROMIUM")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def small_state(tmp_path_factory: pytest.TempPathFactory) -> PipelinePaths:
    """A synthetic state of three districts after one night. Not to be changed: copy it."""
    return make_small_state(tmp_path_factory.mktemp("small_state"))


@pytest.fixture(scope="module")
def all_cores() -> Iterator[None]:
    """Lets the nights of a file use every core, as they do outside of `make test`."""
    with pytest.MonkeyPatch.context() as patched:
        patched.delenv(THREADS, raising=False)
        yield


_USUAL_UMASK = 0o022


@pytest.fixture(scope="session", autouse=True)
def _usual_umask() -> None:
    """Gives servers that the tests start an open umask: the pipeline's modules restrict it."""
    os.umask(_USUAL_UMASK)


@pytest.fixture(autouse=True)
def _environment_as_it_was() -> Iterator[None]:
    """Restores variables and umask after each test: commands set some of their own."""
    before = dict(os.environ)
    os.umask(_USUAL_UMASK)
    yield
    os.umask(_USUAL_UMASK)
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)
