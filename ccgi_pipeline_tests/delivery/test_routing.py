"""Choosing: what the profiles say of which file goes where."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from ccgi_pipeline.delivery.ledger import FileKind, MadeFile
from ccgi_pipeline.delivery.routing import list_folders, route_files
from ccgi_pipeline.profiles import ProfileError, Profiles, profiles_in

SUNDAY = date(2026, 11, 22)
REPORT = MadeFile(
    path="PalmSpringsUnified/daily reporting/goals/PalmSpringsUnified_20261122_Agg.csv",
    sha256="ab" * 32,
    owner="3367173",
    kind=FileKind.REPORT,
    name="goals",
    part="Agg",
    night=SUNDAY,
    snapshot=7,
    settings="",
)
RECEIPT = replace(REPORT, path="PalmSpringsUnified/_receipts/r.json", kind=FileKind.RECEIPT)
_SERVER = """
[sftp.reports]
host = "reports.example.org"
user = "pipeline"
host_keys = ["SHA256:x"]
outbox = "/districts/"
"""


def profiles(tmp_path: Path, settings: str) -> Profiles:
    path = tmp_path / "profiles.toml"
    path.write_text(_SERVER + settings)
    return profiles_in(path)


def sent(tmp_path: Path, settings: str, *made: MadeFile) -> list[tuple[str, str]]:
    chosen = route_files(made or (REPORT, RECEIPT), profiles(tmp_path, settings))
    return [(server, remote) for _, server, remote in chosen]


def test_nothing_is_sent_unless_a_profile_names_a_server(tmp_path: Path) -> None:
    assert sent(tmp_path, "") == []


def test_a_district_has_its_own_folder_below_the_outbox(tmp_path: Path) -> None:
    assert sent(tmp_path, '[defaults.delivery]\nserver = "reports"\n') == [
        ("reports", f"/districts/{REPORT.path}"),
        ("reports", f"/districts/{RECEIPT.path}"),
    ]


def test_a_folder_of_its_own_takes_the_place_of_the_districts_name(tmp_path: Path) -> None:
    settings = '[districts.3367173.delivery]\nserver = "reports"\nfolder = "/psusd"\n'
    assert sent(tmp_path, settings, RECEIPT) == [("reports", "/psusd/_receipts/r.json")]
    assert list_folders("reports", profiles(tmp_path, settings)) == ["/districts", "/psusd"]


def test_only_what_the_district_wants_is_sent(tmp_path: Path) -> None:
    settings = '[districts.3367173.delivery]\nserver = "reports"\nsend = ["_receipts"]\n'
    assert sent(tmp_path, settings) == [("reports", f"/districts/{RECEIPT.path}")]


def test_a_server_of_one_sender_holds_its_files_directly(tmp_path: Path) -> None:
    own = _SERVER.replace("sftp.reports", "sftp.own") + 'sender = "3367173"\n'
    assert sent(tmp_path, own, RECEIPT) == [("own", "/districts/_receipts/r.json")]
    other = replace(RECEIPT, owner="0110017")
    assert sent(tmp_path, own, other) == []


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (
            '[defaults.delivery]\nserver = "nowhere"\n',
            "defaults.delivery.server must be the name of",
        ),
        (
            '[defaults.delivery]\nserver = "reports"\nevery = "week"\n',
            "moved to the table `cadence`",
        ),
        ('[defaults.delivery]\nsend = "all"\n', "send must be a list"),
        ('[sftp.Big]\nhost = "h"\n', "small letters"),
        ('[sftp.b]\nhost = "h"\n', "sftp.b.host_keys is missing"),
        (
            '[sftp.b]\nhost = "h"\nuser = "u"\nhost_keys = []\ninbox = "/"\n',
            "host_keys must not be empty",
        ),
        ('[sftp.b]\nhost = "h"\nuser = "u"\nhost_keys = ["k"]\n', "an inbox, an outbox, or both"),
        ('[sftp.b]\nhost = "h"\nuser = "u"\nhost_keys = ["k"]\nport = "22"\n', "whole number"),
        ("[intake]\nquiet_minutes = -1\n", "quiet_minutes must be"),
        ('[intake]\nlargest_drop_mb = "much"\n', "largest_drop_mb must be a number"),
        ("[intake]\nquiet = 1\n", "quiet is no setting"),
    ],
)
def test_settings_that_cannot_be_are_told_with_their_place(
    tmp_path: Path, settings: str, told: str
) -> None:
    with pytest.raises(ProfileError, match=told):
        profiles(tmp_path, settings)
