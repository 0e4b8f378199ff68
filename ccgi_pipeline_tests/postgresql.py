"""A real PostgreSQL server, as a warehouse beyond one machine has it.

Belongs here: starting and stopping one, and making databases in it. It asks for passwords, and does
not care what a crash of the machine would cost.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import psycopg2

from ccgi_pipeline.warehouse.storage.location import CATALOG_AT, PASSWORD

USER = "ccgi"
_NUMBERS = count(1)


@dataclass(frozen=True)
class PostgreSql:
    """A running server, with one user who may make databases."""

    folder: Path
    port: int
    password: str

    def url(self, database: str) -> str:
        """How CCGI_CATALOG names a database."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"

    def new_database(self, like: str = "template1") -> str:
        """The name of a new database: an empty one, or a copy of another."""
        name = f"ccgi_{os.getpid()}_{next(_NUMBERS)}"
        self.execute("postgres", f"CREATE DATABASE {name} TEMPLATE {like}")
        return name

    def environment(self, database: str) -> dict[str, str]:
        """The variables of a warehouse that has its catalog there."""
        return {CATALOG_AT: self.url(database), PASSWORD: self.password}

    def execute(self, database: str, statement: str) -> list[tuple[object, ...]]:
        """Executes one statement; returns its rows."""
        with (
            closing(
                psycopg2.connect(
                    host="127.0.0.1",
                    port=self.port,
                    dbname=database,
                    user=USER,
                    password=self.password,
                )
            ) as connection,
            connection.cursor() as cursor,
        ):
            connection.autocommit = True
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def stop(self) -> None:
        """Stops it as a crash does."""
        _run([_program("pg_ctl"), "-D", f"{self.folder / 'data'}", "-m", "immediate", "stop"])

    def start(self) -> None:
        """Starts it, again if need be, and waits until it answers."""
        settings = (
            *(f"-p {self.port}", f"-k {self.folder}", "-c listen_addresses=127.0.0.1"),
            *("-c fsync=off", "-c full_page_writes=off", "-c max_connections=200"),
            *("-c lc_messages=C", "-c autovacuum=off"),
        )
        data, log = self.folder / "data", self.folder / "log"
        _run(
            [
                *(_program("pg_ctl"), "-D", f"{data}", "-l", f"{log}"),
                *("-o", " ".join(settings), "-w", "start"),
            ]
        )


@contextmanager
def postgresql() -> Iterator[PostgreSql]:
    """A server of one's own until the end of the block."""
    folder = Path(tempfile.mkdtemp(prefix="ccgi-postgresql-"))
    server = PostgreSql(folder, _free_port(), "a password; with 'quotes'")
    try:
        _give_to_account(folder)
        word = folder / "password"
        word.write_text(server.password)
        _give_to_account(word)
        _run(
            [
                *(_program("initdb"), "-D", f"{folder / 'data'}", "-U", USER, "-N"),
                *("-A", "scram-sha-256", f"--pwfile={word}", "--locale=C", "-E", "UTF8"),
            ]
        )
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _program(name: str) -> str:
    """Debian keeps these out of the path."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    path = os.pathsep.join([*map(str, places), os.environ.get("PATH", "")])
    found = shutil.which(name, path=path)
    assert found, f"{name} is missing: `make tools` installs Debian's postgresql"
    return found


def _give_to_account(path: Path) -> None:
    """The server refuses to run as root."""
    if os.geteuid() == 0:
        shutil.chown(path, *_account())


def _account() -> tuple[str, int]:
    names = {entry.pw_name: entry.pw_gid for entry in pwd.getpwall()}
    name = "postgres" if "postgres" in names else "nobody"
    return name, names[name]


def _run(command: Sequence[str]) -> None:
    if os.geteuid() == 0:
        name, group = _account()
        command = ["setpriv", f"--reuid={name}", f"--regid={group}", "--clear-groups", *command]
    ended = subprocess.run(
        command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd="/"
    )
    assert ended.returncode == 0, ended.stderr.decode()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
