"""SQLite files that several connections and processes share.

Belongs here: that nobody takes from another what it has written. Does not belong here: encrypted
files (test_keys), what the stores keep.
"""

from __future__ import annotations

import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from ccgi_pipeline.encryption.sqlite import open_database

_SCHEMA = "CREATE TABLE IF NOT EXISTS kept (number INTEGER)"
_LOOK = """
import sys
from contextlib import closing
from pathlib import Path
from ccgi_pipeline.encryption.sqlite import open_database
with closing(open_database(Path(sys.argv[1]), "", "FULL")) as database:
    print(*(number for (number,) in database.execute("SELECT number FROM kept ORDER BY 1")))
"""


def _seen_by_another_process(path: Path) -> str:
    """What a process sees that opens the file, and closes it again."""
    command = [sys.executable, "-c", _LOOK, str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("connections", [1, 2, 3])
def test_a_process_that_looks_in_takes_nothing_from_one_with_several_connections(
    tmp_path: Path, connections: int
):
    path = tmp_path / "shared.sqlite"
    opened = [open_database(path, _SCHEMA, "FULL") for _ in range(connections)]
    for number, connection in enumerate(opened, 1):
        connection.execute("INSERT INTO kept VALUES (?)", (number,))
        assert _seen_by_another_process(path) == " ".join(map(str, range(1, number + 1)))
    for connection in opened:
        connection.close()
    with closing(open_database(path, _SCHEMA, "FULL")) as again:
        assert again.execute("SELECT count(*) FROM kept").fetchone() == (connections,)


def test_a_new_file_is_its_owners_alone(tmp_path: Path):
    path = tmp_path / "new.sqlite"
    open_database(path, _SCHEMA, "FULL").close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
