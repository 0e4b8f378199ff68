"""The measurement itself: its figures hang together, and it finds no wrong answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from ccgi_pipeline.bench.lookup import measure_lookup
from ccgi_pipeline.common.errors import PermanentError
from ccgi_pipeline_tests.ssid_lookup.people import drawn, frame


def test_a_small_measurement_hangs_together(tmp_path: Path):
    identities = drawn(3000, seed=2)
    frames = [frame(identities[:1000]), frame(identities[1000:])]
    figures = measure_lookup(tmp_path, frames, requests=300, connections=4, threads=1)
    assert figures.lines == len(identities)
    assert figures.keys >= 3000
    assert figures.wrong == 0
    assert figures.load_ratio == figures.load_seconds / figures.floor_seconds
    assert figures.p50_milliseconds <= figures.p99_milliseconds
    for figure in (
        figures.index_bytes,
        figures.peak_bytes,
        figures.service_own_bytes,
        figures.single_per_second,
        figures.batch_per_second,
        figures.requests_per_second,
    ):
        assert figure > 0
    assert not (tmp_path / "rows.parquet").exists()


def test_nothing_is_measured_with_nobody(tmp_path: Path):
    with pytest.raises(PermanentError):
        measure_lookup(tmp_path, [])
