"""Profiles: what an operator has set for single districts, and for the reports of all.

Belongs here: the settings file ``profiles.toml`` in the warehouse folder, and what may stand in
it. Pure but for reading the file. Does not belong here: credentials, which never lie in a file of
the project.

Example::

    [reports]
    percent_of = "school"

    [defaults]
    parent_consent_means = "consent"

    [districts.3367173]
    parent_consent_means = "opt_out"
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

from ccgi_pipeline.errors import PermanentError

FILE_NAME = "profiles.toml"


class ProfileError(PermanentError):
    """The settings file says something that cannot be followed: mend the file."""


ConsentMeaning = Literal["consent", "opt_out"]
PercentOf = Literal["grade", "school"]


@dataclass(frozen=True, slots=True)
class ReportSettings:
    """What the seeds leave open about the aggregate's percentages.

    ``percent_of``: the roster's students of the school and grade, or of the whole school.
    """

    percent_of: PercentOf = "grade"
    percent_decimals: int = 1


@dataclass(frozen=True, slots=True)
class DistrictProfile:
    """One district's settings. ``parent_consent_means``: what Y in ParentConsent says."""

    parent_consent_means: ConsentMeaning = "consent"


@dataclass(frozen=True, slots=True)
class Profiles:
    """The settings of all districts."""

    reports: ReportSettings = field(default_factory=ReportSettings)
    defaults: DistrictProfile = field(default_factory=DistrictProfile)
    districts: Mapping[str, DistrictProfile] = field(default_factory=dict)

    def of(self, cd: str) -> DistrictProfile:
        """The profile of the district with this CD code."""
        return self.districts.get(cd, self.defaults)


def read_profiles(warehouse: Path) -> Profiles:
    """The profiles of a warehouse; defaults where it has no file.

    Raises ProfileError naming what in the file is wrong.
    """
    path = warehouse / FILE_NAME
    if not path.exists():
        return Profiles()
    try:
        given = tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        msg = f"{path}: {error}"
        raise ProfileError(msg) from None
    return _profiles(given, path)


def _profiles(given: Mapping[str, Any], path: Path) -> Profiles:
    _only(given, {"reports", "defaults", "districts"}, str(path))
    districts: Mapping[str, Any] = given.get("districts", {})
    for cd in districts:
        if not re.fullmatch(r"\d{7}", cd):
            msg = f"{path}: [districts.{cd}]: name districts by their 7-digit CD code"
            raise ProfileError(msg)
    defaults = _district(given.get("defaults", {}), {}, f"{path}: [defaults]")
    return Profiles(
        reports=_reports(given.get("reports", {}), f"{path}: [reports]"),
        defaults=defaults,
        districts={
            cd: _district(settings, given.get("defaults", {}), f"{path}: [districts.{cd}]")
            for cd, settings in districts.items()
        },
    )


def _reports(given: Mapping[str, Any], where: str) -> ReportSettings:
    _only(given, {known.name for known in fields(ReportSettings)}, where)
    settings = ReportSettings(**given)
    _one_of(settings.percent_of, get_args(PercentOf), f"{where} percent_of")
    _one_of(settings.percent_decimals, (0, 1, 2), f"{where} percent_decimals")
    return settings


def _district(given: Mapping[str, Any], defaults: Mapping[str, Any], where: str) -> DistrictProfile:
    _only(given, {known.name for known in fields(DistrictProfile)}, where)
    profile = DistrictProfile(**{**defaults, **given})
    meanings = get_args(ConsentMeaning)
    _one_of(profile.parent_consent_means, meanings, f"{where} parent_consent_means")
    return profile


def _only(given: Mapping[str, Any], known: set[str], where: str) -> None:
    unknown = sorted(set(given) - known)
    if unknown:
        msg = f"{where}: {', '.join(unknown)} is no setting; there are {', '.join(sorted(known))}"
        raise ProfileError(msg)


def _one_of(value: object, allowed: tuple[object, ...], where: str) -> None:
    if value not in allowed:
        msg = f"{where} must be one of {', '.join(map(repr, allowed))}"
        raise ProfileError(msg)
