"""A large file does not lie in memory as a whole.

Belongs here: the most memory that checking a file takes, measured in a process of its own.
"""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path

import pytest

from ccgi_pipeline.bench.command_timing import measure_process
from ccgi_pipeline.bench.components import LARGE_FILES
from ccgi_pipeline.verification.drop_files import LARGE

pytestmark = pytest.mark.slow

_CHECK = """
import sys
from datetime import date
from pathlib import Path
from ccgi_pipeline.verification.offline_check import check
print(check([Path(sys.argv[1])], date(2026, 11, 22), sys.argv[2]).files[0].lines)
"""
_LINES = 2_300_000
_MOST = 650
"""MiB; the file has about 140, and as a whole it took 790."""


def test_a_large_file_is_checked_in_little_memory(tmp_path: Path):
    name, made = LARGE_FILES["oneroster"]
    path, printed = tmp_path / name, tmp_path / "printed"
    made(_LINES, date(2026, 11, 22)).write_csv(path)
    assert path.stat().st_size > LARGE
    used = measure_process(
        [sys.executable, "-c", _CHECK, path, "oneroster"],
        output=printed,
        variables={"POLARS_MAX_THREADS": "1", "CCGI_THREADS": "1"},
    )
    assert int(printed.read_text()) == _LINES
    assert used.peak_mib < _MOST
