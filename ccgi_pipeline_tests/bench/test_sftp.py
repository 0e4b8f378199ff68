"""The measurement itself: it moves what it says, both ways, and its figures hang together."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
from click.testing import CliRunner

from ccgi_pipeline.bench import sftp
from ccgi_pipeline.bench.sftp import SftpFigures, measure_sftp, run_private_sshd
from ccgi_pipeline.cli import main
from ccgi_pipeline.common.errors import PermanentError


def test_a_small_measurement_hangs_together():
    large, small = measure_sftp(megabytes=2, small_files=5, rounds=1)
    assert (large.files, small.files) == (1, 5)
    assert round((large.mebibytes + small.mebibytes) * (1 << 20)) == 2_000_000
    for figures in (large, small):
        assert figures.wrong == 0
        assert figures.upload_ratio == figures.openssh_upload / figures.upload
        assert figures.fetch_ratio == figures.openssh_fetch / figures.fetch
        assert figures.verified_ratio == figures.openssh_upload / figures.verified


@pytest.mark.parametrize("form", ["text", "json"])
def test_the_command_prints_it(form: str, monkeypatch: pytest.MonkeyPatch):
    figures = SftpFigures(
        files=1,
        mebibytes=190.7,
        rounds=5,
        openssh_upload=1.0,
        upload=0.8,
        verified=1.6,
        openssh_fetch=1.0,
        fetch=0.5,
        wrong=0,
    )
    asked: list[dict[str, int]] = []

    def measured(**settings: int) -> list[SftpFigures]:
        asked.append(settings)
        return [figures]

    monkeypatch.setattr(sftp, "measure_sftp", measured)
    result = CliRunner().invoke(main, ["bench", "sftp", "--rounds", "7", "--format", form])
    assert result.exit_code == 0, result.output
    assert asked == [{"megabytes": 200, "small_files": 1000, "rounds": 7}]
    if form == "json":
        assert json.loads(result.output) == [asdict(figures)]
    else:
        assert [line.split()[-1] for line in result.output.splitlines()[2:]] == [
            "1.25",
            "0.62",
            "2.00",
            "0",
        ]


def test_what_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    which: Callable[..., str | None] = shutil.which

    def without_sshd(name: str, path: str) -> str | None:
        return None if name == "sshd" else which(name, path=path)

    monkeypatch.setattr(shutil, "which", without_sshd)
    with pytest.raises(PermanentError, match="install openssh-server"), run_private_sshd(tmp_path):
        pass
    result = CliRunner().invoke(main, ["bench", "sftp"])
    assert result.exit_code == 1
    assert "apt-get install openssh-server" in result.output


def test_a_server_that_does_not_start_says_why(tmp_path: Path):
    with (
        pytest.raises(PermanentError, match=r"sshd did not start: .*Bad configuration option"),
        run_private_sshd(tmp_path, "NoSuchOption yes"),
    ):
        pass
