"""A large file does not lie in memory as a whole.

Belongs here: the most memory that checking a file takes, measured in a process of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from ccgi_pipeline.bench.components import LARGE_FILES
from ccgi_pipeline.verification.drop_files import LARGE

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system has no /proc"),
]

_CHECK = """
import sys
from datetime import date
from pathlib import Path
from ccgi_pipeline.bench.memory import read_memory
from ccgi_pipeline.verification.offline_check import check
checked = check([Path(sys.argv[1])], date(2026, 11, 22), sys.argv[2])
print(checked.files[0].lines, read_memory("self", "VmHWM") >> 20)
"""
_LINES = 2_300_000
_MOST = 650
"""MiB; the file has about 140, and as a whole it took 790."""


def test_a_large_file_is_checked_in_little_memory(tmp_path: Path):
    name, made = LARGE_FILES["oneroster"]
    path = tmp_path / name
    made(_LINES, date(2026, 11, 22)).write_csv(path)
    assert path.stat().st_size > LARGE
    environment = {**os.environ, "POLARS_MAX_THREADS": "1", "CCGI_THREADS": "1"}
    checked = subprocess.run(
        [sys.executable, "-c", _CHECK, path, "oneroster"],
        check=True,
        capture_output=True,
        text=True,
        env=environment,
    )
    lines, mebibytes = map(int, checked.stdout.split())
    assert lines == _LINES
    assert mebibytes < _MOST
