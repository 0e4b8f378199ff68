"""Profiles: what an operator has set for single districts, and for the reports of all.

Belongs here: the settings file ``profiles.toml`` in the warehouse folder, and what may stand in
it. Pure but for reading the file. Does not belong here: credentials, which never lie in a file of
the project.

Example::

    [reports]
    percent_of = "school"

    [intake]
    quiet_minutes = 5
    largest_drop_mb = 600

    [notices]
    mail_to = ["data-team@example.org"]
    mail_from = "pipeline@example.org"
    smtp_host = "smtp.example.org"

    [heartbeat]
    night_hours = 26

    [sftp.uploads]
    host = "uploads.example.org"
    user = "pipeline"
    host_keys = ["SHA256:..."]
    inbox = "/districts"

    [defaults]
    parent_consent_means = "consent"

    [foster_focus]
    age_limit = 19

    [districts.3367173]
    parent_consent_means = "opt_out"

    [districts.3367173.foster_focus]
    unique_ids_are_permanent = true
    close_enrollments_on = "06-12"

    [districts.3367173.foster_focus.file_names]
    enrollment_history = "ENR_EXPORT"

    [districts.3367173.delivery]
    server = "reports"

    [districts.3367173.oneroster]
    date_form = "MM/DD/YYYY"

    [districts.3367173.guard]
    share = 0.25

    [districts.3367173.receipts]
    show_values = true

    [districts.3367173.severities]
    OR-USR-GRADES = "info"
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Literal, get_args

from ccgi_pipeline.errors import PermanentError
from ccgi_pipeline.feeds.registry import RULES
from ccgi_pipeline.feeds.spec import Severity

FILE_NAME = "profiles.toml"


class ProfileError(PermanentError):
    """The settings file says something that cannot be followed: mend the file."""


ConsentMeaning = Literal["consent", "opt_out"]
PercentOf = Literal["grade", "school"]
Residency = Literal["resident", "nonresident"]


@dataclass(frozen=True, slots=True)
class ReportSettings:
    """What the seeds leave open about the aggregate's percentages.

    ``percent_of``: the roster's students of the school and grade, or of the whole school.
    """

    percent_of: PercentOf = "grade"
    percent_decimals: int = 1


POLICE_WORDS = (
    "police", "policing", "policeman", "policemen", "policewoman",
    "law enforcement", "sheriff", "deputy sheriff", "peace officer", "resource officer", "SRO",
    "highway patrol", "CHP", "arrest", "arrested", "arrests", "handcuffed", "probation officer",
    "juvenile hall", "juvenile probation",
)  # fmt: skip
"""Words and phrases by which a record mentions police involvement. Whole words only: a "policy"
and an "academic probation" are the school's own affair."""


@dataclass(frozen=True, slots=True)
class FosterFocusSettings:
    """What holds for the Foster Focus link of all districts.

    ``age_limit``: a child is linked through this age, in years; it moves with AB 12.
    ``inactive_months``: so long after its status ended a child is still linked.
    """

    age_limit: int = 19
    inactive_months: int = 6
    police_words: tuple[str, ...] = POLICE_WORDS


@dataclass(frozen=True, slots=True)
class FosterFocusProfile:
    """What the Foster Focus extracts of one district do not say themselves.

    ``strict``: blanks that mean "still open" are refused too. ``nine_digit_local_ids``: local ids
    of nine digits are the district's, not social security numbers. ``close_enrollments_on``: month
    and day on which enrollments left open at the end of a school year are closed.
    ``elementary_through_grade``: up to this grade attendance is by day. ``self_contained_schools``:
    local codes of schools where it always is. ``tests_in_sis``: tests that the student system
    holds. ``first_school_day``, ``last_school_day``, ``no_school``: the school calendar.
    ``file_names``: per extract another name of its file. ``sites``, ``gpa_types``,
    ``score_types``, ``tests``: what the district's own codes stand for.
    """

    unique_ids_are_permanent: bool = False
    strict: bool = False
    nine_digit_local_ids: bool = False
    close_enrollments_on: str | None = None
    elementary_through_grade: int = 5
    self_contained_schools: tuple[str, ...] = ()
    tests_in_sis: tuple[str, ...] = ()
    first_school_day: date | None = None
    last_school_day: date | None = None
    no_school: tuple[date, ...] = ()
    file_names: Mapping[str, str] = field(default_factory=dict)
    sites: Mapping[str, str] = field(default_factory=dict)
    gpa_types: Mapping[str, str] = field(default_factory=dict)
    score_types: Mapping[str, str] = field(default_factory=dict)
    tests: Mapping[str, str] = field(default_factory=dict)

    @property
    def school_days(self) -> list[date]:
        """The days of the school calendar, if there is one: weekdays but for those named."""
        if self.first_school_day is None or self.last_school_day is None:
            return []
        count = (self.last_school_day - self.first_school_day).days + 1
        days = (self.first_school_day + timedelta(days=n) for n in range(count))
        return [d for d in days if d.weekday() < _SATURDAY and d not in self.no_school]


_SATURDAY = 5


@dataclass(frozen=True, slots=True)
class IntakeSettings:
    """When a file that lies in an inbox is taken for whole, and how much is taken at once.

    ``quiet_minutes``: so long its size and time must have stood still. ``largest_drop_mb``: what a
    sender's files of one family may be together; ten times that is needed in memory. The largest
    district's transcripts are about 500 MB.
    """

    quiet_minutes: float = 5
    largest_drop_mb: float = 600

    @property
    def largest_drop(self) -> float:
        """The same in bytes."""
        return self.largest_drop_mb * 1_000_000


SmtpTls = Literal["starttls", "tls", "none"]
NoticeKind = Literal["run_failed", "drops_held", "server_refuses", "deliveries_stuck", "heartbeat"]
NOTICE_KINDS: tuple[str, ...] = get_args(NoticeKind)
"""What the operator can be told of unasked."""
HEARTBEAT_FINDINGS = (
    "daemon_silent", "sensor_stopped", "sensor_silent", "sensor_failing", "night_late",
    "run_stuck", "disk_low", "catalog_unreadable", "notices_unsent", "heartbeat_silent",
)  # fmt: skip
"""What the heartbeat can find wrong with the machinery."""


@dataclass(frozen=True, slots=True)
class NoticeSettings:
    """Whom the pipeline tells unasked when something is wrong; secrets come from the environment.

    ``kinds``: of what. ``mail_to``, ``mail_from``, ``smtp_host``: mail goes out if all are given.
    ``smtp_user``: logs in, with the password of ``CCGI_SMTP_PASSWORD``. ``smtp_tls``: ``none`` only
    to this machine itself. ``installation``: stands in every notice, where there are several.
    """

    kinds: tuple[str, ...] = NOTICE_KINDS
    mail_to: tuple[str, ...] = ()
    mail_from: str | None = None
    smtp_host: str | None = None
    smtp_port: int = 587
    smtp_user: str | None = None
    smtp_tls: SmtpTls = "starttls"
    installation: str = ""

    @property
    def mails(self) -> bool:
        """Whether notices go out by mail."""
        return bool(self.mail_to and self.mail_from and self.smtp_host)


@dataclass(frozen=True, slots=True)
class HeartbeatSettings:
    """From when on the heartbeat finds something wrong.

    ``night_hours``: so long after the last good night. ``sensor_minutes``, ``daemon_minutes``: so
    long after the last look, or sign of life. ``run_hours``: so long a run may take.
    ``delivery_hours``: so long a file may wait for its server. ``heartbeat_minutes``: so long after
    the last ``ccgi heartbeat``, if there ever was one. ``free_gib``: less room on a disk than that.
    ``ignore``: findings that are as they should be here.
    """

    night_hours: float = 26.0
    sensor_minutes: float = 10.0
    daemon_minutes: float = 5.0
    run_hours: float = 6.0
    delivery_hours: float = 2.0
    heartbeat_minutes: float = 60.0
    free_gib: float = 5.0
    ignore: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SftpServer:
    """One SFTP server, with one login of ours; its secrets come from the environment.

    ``host_keys``: fingerprints (``SHA256:...``) or public keys of the server; no other is trusted.
    ``inbox``: the folder with what senders send, laid out as the local inbox. ``outbox``: the
    folder below which every district's folder lies. ``sender``: the only sender whose server this
    is, by CD code (or ``platform``, ``cccapply``, ...): its files lie directly below both.
    ``stall_seconds``: a transfer that stands still for so long is given up; servers that look an
    upload through for viruses are silent for a while.
    """

    host: str
    user: str
    host_keys: tuple[str, ...]
    port: int = 22
    stall_seconds: int = 90
    inbox: str | None = None
    outbox: str | None = None
    sender: str | None = None


Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday"]
Cadence = Literal["day", "week"]
SmallCells = Literal["none", "california_10", "cde_11"]


@dataclass(frozen=True, slots=True)
class DeliveryProfile:
    """What of a district's outbox is sent where, and when.

    ``server``: the name of an SFTP server; none, and nothing is sent. ``folder``: its folder there,
    if not one of the district's name below the server's outbox. ``send``: the folders that are
    sent. ``every``: reports go out each day, or those of one ``weekday``; receipts at once.
    ``remove_taken``: files that were taken and loaded are removed from the server they came from.
    ``small_cells``: by which rule aggregates hide counts of few students (docs/small-cells.md).
    """

    server: str | None = None
    folder: str | None = None
    send: tuple[str, ...] = ("daily reporting", "legacy reporting", "_receipts")
    every: Cadence = "day"
    weekday: Weekday = "monday"
    remove_taken: bool = False
    small_cells: SmallCells = "none"


ModeOfFiles = Literal["by_file", "bulk", "delta"]
DateForm = Literal["YYYY-MM-DD", "MM/DD/YYYY"]


@dataclass(frozen=True, slots=True)
class OneRosterProfile:
    """What holds for the OneRoster files of one district.

    ``strict``: they are held to the specification's letter. ``mode``: what every file is, where
    manifest and lines cannot be trusted to say. ``date_form``: another form of dates that its
    system writes. ``adds_only``: no record is ever ended for not being in a file.
    """

    strict: bool = False
    mode: ModeOfFiles = "by_file"
    date_form: DateForm = "YYYY-MM-DD"
    adds_only: bool = False


@dataclass(frozen=True, slots=True)
class GuardProfile:
    """How much of what is known a full set may end before an operator is asked.

    ``share``: of the active records of a file, and of a school. ``at_least``: fewer records of a
    file do not count, nor fewer than ``school_at_least`` of a school: small numbers change all the
    time. (Of OneRoster's small files half is too much, however few.) ``approval_days``: so long an
    approval holds.
    """

    share: float = 0.10
    at_least: int = 5
    school_at_least: int = 20
    approval_days: int = 7


@dataclass(frozen=True, slots=True)
class ReceiptsProfile:
    """What a district wants in its receipts.

    ``show_values``: the page and the CSV repeat the cells that the first findings point at. They
    are pupils' data, and whoever can read the district's folder can read them.
    """

    show_values: bool = False


@dataclass(frozen=True, slots=True)
class DistrictProfile:
    """One district's settings.

    ``parent_consent_means``: what Y in ParentConsent says. ``school_year_starts``: month and day
    on which the school year turns. ``residency``: which averages CSU and UC want of its students.
    ``severities``: per rule's id how much it weighs, where other than usual.
    """

    parent_consent_means: ConsentMeaning = "consent"
    school_year_starts: str = "07-01"
    residency: Residency = "resident"
    foster_focus: FosterFocusProfile = field(default_factory=FosterFocusProfile)
    oneroster: OneRosterProfile = field(default_factory=OneRosterProfile)
    delivery: DeliveryProfile = field(default_factory=DeliveryProfile)
    guard: GuardProfile = field(default_factory=GuardProfile)
    receipts: ReceiptsProfile = field(default_factory=ReceiptsProfile)
    severities: Mapping[str, str] = field(default_factory=dict)

    def school_year(self, on: date) -> int:
        """The school year of a day, named by the year in which it ends."""
        return on.year + ((on.month, on.day) >= month_and_day(self.school_year_starts))


def month_and_day(written: str) -> tuple[int, int]:
    """``06-12`` as month and day."""
    month, day = written.split("-")
    return int(month), int(day)


@dataclass(frozen=True, slots=True)
class Profiles:
    """The settings of all districts."""

    reports: ReportSettings = field(default_factory=ReportSettings)
    intake: IntakeSettings = field(default_factory=IntakeSettings)
    notices: NoticeSettings = field(default_factory=NoticeSettings)
    heartbeat: HeartbeatSettings = field(default_factory=HeartbeatSettings)
    sftp: Mapping[str, SftpServer] = field(default_factory=dict)
    foster_focus: FosterFocusSettings = field(default_factory=FosterFocusSettings)
    defaults: DistrictProfile = field(default_factory=DistrictProfile)
    districts: Mapping[str, DistrictProfile] = field(default_factory=dict)

    def of(self, cd: str) -> DistrictProfile:
        """The profile of the district with this CD code."""
        return self.districts.get(cd, self.defaults)

    def with_permanent_ids(self, senders: Iterable[str]) -> list[str]:
        """Those of ``senders`` whose unique IDs are permanent."""
        return [s for s in senders if self.of(s).foster_focus.unique_ids_are_permanent]


def read_profiles(warehouse: Path) -> Profiles:
    """The profiles of a warehouse; defaults where it has no file. Raises ProfileError."""
    path = warehouse / FILE_NAME
    return profiles_in(path) if path.exists() else Profiles()


def profiles_in(path: Path) -> Profiles:
    """The profiles that a file holds. Raises ProfileError naming what in the file is wrong."""
    return profiles_from(path.read_bytes(), path)


def profiles_from(content: bytes, path: Path) -> Profiles:
    """The profiles that ``content`` holds, which is that of ``path``. Raises ProfileError."""
    try:
        given = tomllib.loads(content.decode())
    except tomllib.TOMLDecodeError as error:
        msg = f"{path}: {error}"
        raise ProfileError(msg) from None
    return _profiles(given, path)


def _profiles(given: Mapping[str, Any], path: Path) -> Profiles:
    _only(given, _names(Profiles), str(path))
    districts: Mapping[str, Any] = given.get("districts", {})
    for cd in districts:
        if not re.fullmatch(r"\d{7}", cd):
            msg = f"{path}: [districts.{cd}]: name districts by their 7-digit CD code"
            raise ProfileError(msg)
    defaults = given.get("defaults", {})
    profiles = Profiles(
        reports=_reports(given.get("reports", {}), f"{path}: [reports]"),
        intake=_intake(given.get("intake", {}), f"{path}: [intake]"),
        notices=_notices(given.get("notices", {}), f"{path}: [notices]"),
        heartbeat=_heartbeat(given.get("heartbeat", {}), f"{path}: [heartbeat]"),
        sftp={
            name: _sftp(name, settings, f"{path}: [sftp.{name}]")
            for name, settings in given.get("sftp", {}).items()
        },
        foster_focus=_foster_settings(given.get("foster_focus", {}), f"{path}: [foster_focus]"),
        defaults=_district(defaults, {}, f"{path}: [defaults]"),
        districts={
            cd: _district(settings, defaults, f"{path}: [districts.{cd}]")
            for cd, settings in districts.items()
        },
    )
    for where, profile in (("defaults", profiles.defaults), *profiles.districts.items()):
        named = profile.delivery.server
        if named is not None and (named not in profiles.sftp or not profiles.sftp[named].outbox):
            msg = f"{path}: {where}: delivery server {named} must be an [sftp.{named}] with outbox"
            raise ProfileError(msg)
    return profiles


def _intake(given: Mapping[str, Any], where: str) -> IntakeSettings:
    _only(given, _names(IntakeSettings), where)
    for name, value in given.items():
        if type(value) not in {int, float} or value < 0:
            msg = f"{where} {name} must be a number, not below zero"
            raise ProfileError(msg)
    return IntakeSettings(**{name: float(value) for name, value in given.items()})


def _notices(given: Mapping[str, Any], where: str) -> NoticeSettings:
    _only(given, _names(NoticeSettings), where)
    settings = NoticeSettings(**_of_types(NoticeSettings, given, where))
    _one_of(settings.smtp_tls, get_args(SmtpTls), f"{where} smtp_tls")
    for kind in settings.kinds:
        _one_of(kind, NOTICE_KINDS, f"{where} kinds")
    mail = (settings.mail_to, settings.mail_from, settings.smtp_host)
    if any(mail) and not all(mail):
        msg = f"{where} needs mail_to, mail_from and smtp_host, or none of them"
        raise ProfileError(msg)
    if settings.smtp_tls == "none" and settings.smtp_host not in {None, *_THIS_MACHINE}:
        msg = f'{where} smtp_tls: "none" only to a server on this machine ({_THIS_MACHINE[0]})'
        raise ProfileError(msg)
    return settings


_THIS_MACHINE = ("127.0.0.1", "localhost", "::1")


def _heartbeat(given: Mapping[str, Any], where: str) -> HeartbeatSettings:
    _only(given, _names(HeartbeatSettings), where)
    # TOML tells 26 from 26.0; who writes hours does not.
    numbers = {k: float(v) if type(v) is int else v for k, v in given.items()}
    settings = HeartbeatSettings(**_of_types(HeartbeatSettings, numbers, where))
    for finding in settings.ignore:
        _one_of(finding, HEARTBEAT_FINDINGS, f"{where} ignore")
    return settings


def _sftp(name: str, given: Mapping[str, Any], where: str) -> SftpServer:
    _only(given, _names(SftpServer), where)
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        msg = f"{where}: name servers in small letters, digits and underscores"
        raise ProfileError(msg)
    missing = sorted({"host", "user", "host_keys"} - set(given))
    if missing:
        msg = f"{where} needs {', '.join(missing)}"
        raise ProfileError(msg)
    server = SftpServer(**_of_types(SftpServer, given, where))
    if not server.host_keys:
        msg = f"{where} host_keys: without one no server can be trusted; ssh-keyscan shows it"
        raise ProfileError(msg)
    if not (server.inbox or server.outbox):
        msg = f"{where} needs an inbox, an outbox, or both"
        raise ProfileError(msg)
    return server


def _delivery(given: Mapping[str, Any], where: str) -> DeliveryProfile:
    _only(given, _names(DeliveryProfile), where)
    profile = DeliveryProfile(**_of_types(DeliveryProfile, given, where))
    _one_of(profile.every, get_args(Cadence), f"{where} every")
    _one_of(profile.weekday, get_args(Weekday), f"{where} weekday")
    _one_of(profile.small_cells, get_args(SmallCells), f"{where} small_cells")
    return profile


def _reports(given: Mapping[str, Any], where: str) -> ReportSettings:
    _only(given, _names(ReportSettings), where)
    settings = ReportSettings(**given)
    _one_of(settings.percent_of, get_args(PercentOf), f"{where} percent_of")
    _one_of(settings.percent_decimals, (0, 1, 2), f"{where} percent_decimals")
    return settings


def _foster_settings(given: Mapping[str, Any], where: str) -> FosterFocusSettings:
    _only(given, _names(FosterFocusSettings), where)
    settings = FosterFocusSettings(**_of_types(FosterFocusSettings, given, where))
    if not all(word.strip() for word in settings.police_words):
        msg = f"{where} police_words must be words"
        raise ProfileError(msg)
    return settings


def _district(given: Mapping[str, Any], defaults: Mapping[str, Any], where: str) -> DistrictProfile:
    _only(given, _names(DistrictProfile), where)
    settings = {**defaults, **given}
    link = {**defaults.get("foster_focus", {}), **given.get("foster_focus", {})}
    settings["foster_focus"] = _foster_profile(link, f"{where} foster_focus")
    for name, read in (
        ("oneroster", _oneroster),
        ("delivery", _delivery),
        ("guard", _guard),
        ("receipts", _receipts),
        ("severities", _severities),
    ):
        merged = {**defaults.get(name, {}), **given.get(name, {})}
        settings[name] = read(merged, f"{where} {name}")
    profile = DistrictProfile(**settings)
    meanings = get_args(ConsentMeaning)
    _one_of(profile.parent_consent_means, meanings, f"{where} parent_consent_means")
    _one_of(profile.residency, get_args(Residency), f"{where} residency")
    _day(profile.school_year_starts, f"{where} school_year_starts")
    return profile


def _foster_profile(given: Mapping[str, Any], where: str) -> FosterFocusProfile:
    _only(given, _names(FosterFocusProfile), where)
    profile = FosterFocusProfile(**_of_types(FosterFocusProfile, given, where))
    if profile.close_enrollments_on is not None:
        _day(profile.close_enrollments_on, f"{where} close_enrollments_on")
    if (profile.first_school_day is None) != (profile.last_school_day is None):
        msg = f"{where} needs both first_school_day and last_school_day, or neither"
        raise ProfileError(msg)
    return profile


def _oneroster(given: Mapping[str, Any], where: str) -> OneRosterProfile:
    _only(given, _names(OneRosterProfile), where)
    profile = OneRosterProfile(**_of_types(OneRosterProfile, given, where))
    _one_of(profile.mode, get_args(ModeOfFiles), f"{where} mode")
    _one_of(profile.date_form, get_args(DateForm), f"{where} date_form")
    return profile


def _guard(given: Mapping[str, Any], where: str) -> GuardProfile:
    _only(given, _names(GuardProfile), where)
    profile = GuardProfile(**_of_types(GuardProfile, given, where))
    if not 0 <= profile.share <= 1:
        msg = f"{where} share must be between 0 (ask always) and 1 (never ask)"
        raise ProfileError(msg)
    return profile


def _receipts(given: Mapping[str, Any], where: str) -> ReceiptsProfile:
    _only(given, _names(ReceiptsProfile), where)
    return ReceiptsProfile(**_of_types(ReceiptsProfile, given, where))


def _severities(given: Mapping[str, Any], where: str) -> Mapping[str, str]:
    for rule, severity in given.items():
        if rule not in RULES:
            msg = f"{where}: {rule} is no rule; the data dictionary has them all"
            raise ProfileError(msg)
        _one_of(severity, tuple(str(known) for known in Severity), f"{where} {rule}")
    return dict(given)


_KINDS: Mapping[str, tuple[type, str]] = {
    "bool": (bool, "true or false"),
    "int": (int, "a whole number"),
    "float": (float, "a number such as 0.10"),
    "ModeOfFiles": (str, "a text"),
    "DateForm": (str, "a text"),
    "Cadence": (str, "a text"),
    "Weekday": (str, "a text"),
    "SmallCells": (str, "a text"),
    "SmtpTls": (str, "a text"),
    "str": (str, "a text"),
    "str | None": (str, "a text"),
    "date | None": (date, "a date such as 2026-08-17, without quotation marks"),
    "tuple[str, ...]": (str, "a list of texts"),
    "tuple[date, ...]": (date, "a list of dates such as 2026-11-26"),
    "Mapping[str, str]": (str, "a table of texts"),
}


def _of_types(kind: type, given: Mapping[str, Any], where: str) -> dict[str, Any]:
    """``given`` as the fields of a dataclass want it. Raises ProfileError naming one that fails."""
    made = {}
    for name, value in given.items():
        declared = str(next(known.type for known in fields(kind) if known.name == name))
        wanted, words = _KINDS[declared]
        parts = [value]
        if declared.startswith("tuple"):
            parts = value if isinstance(value, list) else [None]
            value = tuple(parts)  # noqa: PLW2901 - TOML has lists, a frozen setting has none
        elif declared.startswith("Mapping"):
            parts = [*value.values()] if isinstance(value, dict) else [None]
        if not all(type(part) is wanted for part in parts):
            msg = f"{where} {name} must be {words}"
            raise ProfileError(msg)
        made[name] = value
    return made


def _names(kind: type) -> set[str]:
    return {known.name for known in fields(kind)}


def _day(written: object, where: str) -> None:
    try:
        month, day = month_and_day(str(written))
        date(2001, month, day)
    except ValueError:
        msg = f'{where} must be a month and a day such as "06-12"'
        raise ProfileError(msg) from None


def _only(given: Mapping[str, Any], known: set[str], where: str) -> None:
    unknown = sorted(set(given) - known)
    if unknown:
        msg = f"{where}: {', '.join(unknown)} is no setting; there are {', '.join(sorted(known))}"
        raise ProfileError(msg)


def _one_of(value: object, allowed: tuple[object, ...], where: str) -> None:
    if value not in allowed:
        msg = f"{where} must be one of {', '.join(map(repr, allowed))}"
        raise ProfileError(msg)
