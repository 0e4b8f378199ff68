"""The settings file: what may stand in it, and what a wrong one is answered with."""

from __future__ import annotations

from pathlib import Path

import pytest

from ccgi_pipeline.profiles import ProfileError, Profiles, read_profiles
from ccgi_pipeline_tests.night.inboxes import (
    HAYWARD,
    HAYWARD_HIGH,
    PALM_SPRINGS,
    PALM_SPRINGS_HIGH,
    put_roster,
    student,
)
from ccgi_pipeline_tests.night.nights import folders_in, take_and_load, writing


def written(folder: Path, text: str) -> Profiles:
    (folder / "profiles.toml").write_text(text)
    return read_profiles(folder)


def test_a_warehouse_without_the_file_has_the_defaults(tmp_path: Path) -> None:
    profiles = read_profiles(tmp_path)
    assert profiles.of("3367173").parent_consent_means == "consent"
    assert profiles.reports.percent_decimals == 1


def test_a_district_overrides_the_defaults_of_the_file(tmp_path: Path) -> None:
    text = (
        '[defaults]\nparent_consent_means = "opt_out"\n'
        '[districts.3367173]\nparent_consent_means = "consent"\n'
    )
    profiles = written(tmp_path, text)
    assert profiles.of("3367173").parent_consent_means == "consent"
    assert profiles.of("0161192").parent_consent_means == "opt_out"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[", "profiles.toml"),
        ("[nonsense]\n", "nonsense is no setting"),
        ("[defaults]\nconsent = 1\n", "consent is no setting"),
        ('[defaults]\nparent_consent_means = "maybe"\n', "must be one of 'consent', 'opt_out'"),
        ("[districts.PalmSprings]\n", "7-digit CD code"),
        ("[reports]\npercent_decimals = 9\n", "must be one of 0, 1, 2"),
        ('[reports]\npercent_of = "county"\n', "must be one of 'grade', 'school'"),
    ],
)
def test_a_setting_that_cannot_be_followed_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ProfileError, match=said):
        written(tmp_path, text)


def test_parent_consent_is_kept_as_consent_whatever_the_district_means_by_y(
    tmp_path: Path,
) -> None:
    made = folders_in(tmp_path)
    made.warehouse.mkdir()
    text = f'[districts.{PALM_SPRINGS}]\nparent_consent_means = "opt_out"\n'
    (made.warehouse / "profiles.toml").write_text(text)
    for cd, school in ((PALM_SPRINGS, PALM_SPRINGS_HIGH), (HAYWARD, HAYWARD_HIGH)):
        answers = [
            student(f"{number}{cd}00", school, ParentConsent=said)
            for number, said in enumerate(("Y", "N", ""), start=1)
        ]
        put_roster(made.inbox, cd, answers)
    with writing(made) as connection:
        take_and_load(connection, made)
        kept = connection.execute(
            "SELECT _sender, ParentConsent FROM transcript_student ORDER BY _sender, StateID"
        ).fetchall()
    assert kept == [
        *((HAYWARD, consent) for consent in (True, False, None)),
        *((PALM_SPRINGS, consent) for consent in (False, True, None)),
    ]
