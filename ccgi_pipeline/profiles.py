"""Profiles: the settings that an operator makes for all districts, and for single ones.

Belongs here: what may be in ``profiles.toml`` of the warehouse folder, with the defaults. Does not
belong here: the words for faults of the file (``profile_faults``), and credentials, which no file
of the project holds.

Example::

    [reports]
    percent_of = "school"

    [sftp.reports]
    host = "reports.example.org"
    user = "pipeline"
    host_keys = ["SHA256:..."]
    outbox = "/districts"

    [defaults]
    parent_consent_means = "opt_out"

    [districts.3367173.foster_focus]
    close_enrollments_on = "06-12"
    no_school = [2026-11-26, 2026-11-27]

    [defaults.cadence]
    academic_years = [{ first_day = 2026-08-12, last_day = 2027-06-04 }]
    legacy_reporting = "week"

    [districts.3367173.delivery]
    server = "reports"

    [districts.3367173.severities]
    OR-USR-GRADES = "info"
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationError, model_validator

from ccgi_pipeline import profile_faults as faults
from ccgi_pipeline.common.errors import PermanentError
from ccgi_pipeline.profile_folders import find_shared_folders
from ccgi_pipeline.profile_oneroster_api import OneRosterApiProfile, find_shared_clients
from ccgi_pipeline.profile_tables import SettingsTable, Texts

FILE_NAME = "profiles.toml"


class ProfileError(PermanentError):
    """The settings file has faults: correct the file."""


def month_and_day(written: str) -> tuple[int, int]:
    """Returns ``06-12`` as month and day."""
    month, day = written.split("-")
    return int(month), int(day)


def _checked_month_and_day(written: str) -> str:
    try:
        date(2001, *month_and_day(written))
    except ValueError:
        msg = 'must be a month and a day such as "06-12"; found another text'
        raise ValueError(msg) from None
    return written


MonthAndDay = Annotated[
    str,
    AfterValidator(_checked_month_and_day),
    Field(json_schema_extra={"pattern": "^[0-9]{1,2}-[0-9]{1,2}$"}),
]
CdCode = Annotated[str, Field(pattern=faults.CD_CODE)]
ServerName = Annotated[str, Field(pattern=faults.SERVER_NAME)]
# TOML has lists and a frozen setting has tuples: only this conversion is allowed.
Words = Annotated[tuple[Annotated[str, Field(pattern=faults.NOT_BLANK)], ...], Field(strict=False)]
Dates = Annotated[tuple[date, ...], Field(strict=False)]

ConsentMeaning = Literal["consent", "opt_out"]
PercentOf = Literal["grade", "school"]
OptOutScope = Literal["exports", "details", "counts"]
"""What a parent's opt-out covers; each covers what stands before it, too."""
UnchangedReports = Literal["link", "copy", "anew"]
Residency = Literal["resident", "nonresident"]
SmtpTls = Literal["starttls", "tls", "none"]
Weekday = Literal[
    "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday",
]  # fmt: skip
WEEKDAYS: tuple[Weekday, ...] = get_args(Weekday)
"""The days of the week, in the order of ``date.weekday``."""
HousekeepingDay = Literal[Weekday, "never"]
Cadence = Literal["day", "week"]
CadenceOutside = Literal["week", "none"]
ReceivedForm = Literal["optional", "required"]
SignaturePolicy = Literal["off", "record", "require"]
SmallCells = Literal["none", "california_10", "cde_11"]
ModeOfFiles = Literal["by_file", "bulk", "delta"]
DateForm = Literal["YYYY-MM-DD", "MM/DD/YYYY"]
SeverityName = Literal["error", "warning", "info"]
NoticeKind = Literal[
    "run_failed", "drops_held", "ssid_claims", "shared_cccids", "server_refuses",
    "deliveries_stuck", "openpgp_keys", "roster_fetches", "heartbeat",
]  # fmt: skip
NOTICE_KINDS: tuple[NoticeKind, ...] = get_args(NoticeKind)
"""The kinds of notices that the pipeline sends to the operator."""
HeartbeatFinding = Literal[
    "daemon_silent", "sensor_stopped", "sensor_silent", "sensor_failing", "night_late",
    "night_missed", "run_stuck", "disk_low", "catalog_unreadable", "notices_unsent",
    "heartbeat_silent", "heartbeat_incomplete",
]  # fmt: skip
HEARTBEAT_FINDINGS: tuple[HeartbeatFinding, ...] = get_args(HeartbeatFinding)
"""What the heartbeat can find wrong with the machinery."""
POLICE_WORDS = (
    "police", "policing", "policeman", "policemen", "policewoman",
    "law enforcement", "sheriff", "deputy sheriff", "peace officer", "resource officer", "SRO",
    "highway patrol", "CHP", "arrest", "arrested", "arrests", "handcuffed", "probation officer",
    "juvenile hall", "juvenile probation",
)  # fmt: skip
"""Words and phrases by which a record mentions police involvement. Only whole words count: a
"policy" and an "academic probation" are the school's own affair."""


_THIS_MACHINE = ("127.0.0.1", "localhost", "::1")


class ReportSettings(SettingsTable):
    """What the reports of all districts count, whom they leave out, and how unchanged ones stay."""

    percent_of: PercentOf = "grade"
    """The students that a percentage counts: of the school and grade, or of the whole school."""
    percent_decimals: int = Field(default=1, ge=0, le=2)
    """Decimals of percentages."""
    opt_out_covers: OptOutScope = "exports"
    """What a student is left out of whose parent opted out of sharing: exports and downloads to
    others ("exports"), also the district's own detail files ("details"), also its counts
    ("counts")."""
    aid_year_starts: MonthAndDay = "10-01"
    """Month and day on which a new application year for financial aid begins."""
    admission_year_starts: MonthAndDay = "07-01"
    """Month and day on which a new application year for admission to college begins."""
    unchanged: UnchangedReports = "link"
    """What tonight's file of an unchanged report is: the former file's bytes under another name
    ("link"), a copy of them ("copy"), or made anew like all others ("anew")."""


class FosterFocusSettings(SettingsTable):
    """The Foster Focus link of all districts."""

    age_limit: int = 19
    """A child is linked through this age, in years. It moves with AB 12."""
    inactive_months: int = 6
    """A child is still linked for this long after its status ended."""
    police_words: Words = POLICE_WORDS
    """Words and phrases by which a record mentions police involvement. Only whole words count."""


_SATURDAY = 5


class FosterFocusProfile(SettingsTable):
    """What the Foster Focus extracts of one district do not say themselves."""

    unique_ids_are_permanent: bool = False
    """Records are known by UniqueID, which never changes."""
    strict: bool = False
    """Each of the 41 rules is an error, and blanks that mean "still open" are refused too."""
    nine_digit_local_ids: bool = False
    """Local ids of nine digits are the district's, not social security numbers."""
    close_enrollments_on: MonthAndDay | None = None
    """Month and day on which enrollments left open at the end of a school year are closed."""
    elementary_through_grade: int = 5
    """Attendance is by day up to this grade."""
    self_contained_schools: Texts = ()
    """Local codes of schools where attendance is always by day."""
    tests_in_sis: Texts = ()
    """Tests that the student information system holds."""
    first_school_day: date | None = None
    """First day of the school calendar. It needs last_school_day."""
    last_school_day: date | None = None
    """Last day of the school calendar. It needs first_school_day."""
    no_school: Dates = ()
    """Weekdays of the school calendar without school."""
    file_names: Mapping[str, str] = Field(default_factory=dict)
    """Another name of an extract's file, by extract."""
    sites: Mapping[str, str] = Field(default_factory=dict)
    """Names of sites, by the district's local school code."""
    gpa_types: Mapping[str, str] = Field(default_factory=dict)
    """Kinds of averages, by the district's code."""
    score_types: Mapping[str, str] = Field(default_factory=dict)
    """Kinds of scores, by the district's code."""
    tests: Mapping[str, str] = Field(default_factory=dict)
    """Tests, by the district's code."""

    @model_validator(mode="after")
    def _check_calendar(self) -> Self:
        if (self.first_school_day is None) != (self.last_school_day is None):
            msg = "needs both first_school_day and last_school_day, or neither"
            raise ValueError(msg)
        return self

    @property
    def school_days(self) -> list[date]:
        """Returns the days of the school calendar, if it is given: weekdays except no_school."""
        if self.first_school_day is None or self.last_school_day is None:
            return []
        count = (self.last_school_day - self.first_school_day).days + 1
        days = (self.first_school_day + timedelta(days=n) for n in range(count))
        return [d for d in days if d.weekday() < _SATURDAY and d not in self.no_school]


def _checked_site(address: str) -> str:
    """Returns the address of a site without the slash at its end."""
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port  # a port that is no number raises ValueError
    except ValueError:
        host = None
    encrypted = host is not None and parts.scheme == "https"
    here = host in _THIS_MACHINE and parts.scheme == "http"
    plain = address.isascii() and address.isprintable() and not set(address) & set("<>\"'` \\")
    if not (encrypted or here) or not plain or parts.query or parts.fragment or "@" in parts.netloc:
        msg = (
            'must be an address such as "https://ccgi.example.org/dictionary": https (http only on '
            "this machine), without a login, a query or a fragment"
        )
        raise ValueError(msg)
    return address.rstrip("/")


SiteAddress = Annotated[str, AfterValidator(_checked_site)]


class ReceiptSettings(SettingsTable):
    """The receipts of all senders."""

    dictionary_url: SiteAddress | None = None
    """Where the operator has published the data dictionary (docs/build-an-export.md). Receipts then
    link each rule and each cause to its page there."""


class IntakeSettings(SettingsTable):
    """When a file in an inbox is complete, and how much is taken at once."""

    quiet_minutes: float = Field(default=5.0, ge=0)
    """A file is complete when its size and time did not change for this long."""
    largest_drop_mb: float = Field(default=2000.0, ge=0)
    """The most that a sender's files of one family may have together, in megabytes, their zips
    opened. It guards the disk: what is large is read in pieces. The largest district's transcripts
    have about 500 MB, what two million students did on the platform 900."""

    @property
    def largest_drop(self) -> float:
        """Returns largest_drop_mb in bytes."""
        return self.largest_drop_mb * 1_000_000


class NoticeSettings(SettingsTable):
    """Notices to the operator when something is wrong. Secrets come from the environment."""

    kinds: Annotated[tuple[NoticeKind, ...], Field(strict=False)] = NOTICE_KINDS
    """The kinds of notices that are sent."""
    mail_to: Texts = ()
    """Addresses that receive the notices. Mail also needs mail_from and smtp_host."""
    mail_from: str | None = None
    """Address of the sender."""
    smtp_host: str | None = None
    """The mail server."""
    smtp_port: int = 587
    """Port of the mail server."""
    smtp_user: str | None = None
    """Login at the mail server. Its password is in CCGI_SMTP_PASSWORD."""
    smtp_tls: SmtpTls = "starttls"
    """Encryption of the connection. "none" is only for a mail server on this machine."""
    installation: str = ""
    """Name of this installation, where there are several. Every notice shows it."""

    @model_validator(mode="after")
    def _check_mail(self) -> Self:
        mail = (self.mail_to, self.mail_from, self.smtp_host)
        if any(mail) and not all(mail):
            msg = "needs mail_to, mail_from and smtp_host, or none of them"
            raise ValueError(msg)
        if self.smtp_tls == "none" and self.smtp_host not in {None, *_THIS_MACHINE}:
            msg = f'allows smtp_tls "none" only to a server on this machine ({_THIS_MACHINE[0]})'
            raise ValueError(msg)
        return self

    @property
    def mails(self) -> bool:
        """Returns whether notices are sent by mail."""
        return bool(self.mail_to and self.mail_from and self.smtp_host)


class HeartbeatSettings(SettingsTable):
    """Limits beyond which the heartbeat finds something wrong."""

    night_hours: float = 26.0
    """Time since the last good night."""
    sensor_minutes: float = 10.0
    """Time since the sensor last looked."""
    daemon_minutes: float = 5.0
    """Time since the daemon's last sign of life."""
    run_hours: float = 6.0
    """Time that a run may take."""
    delivery_hours: float = 2.0
    """Time that a file may wait for its server."""
    heartbeat_minutes: float = 60.0
    """Time since the last `ccgi heartbeat`, if there ever was one."""
    free_gib: float = 5.0
    """Free space that every disk must have, in GiB."""
    ignore: Annotated[tuple[HeartbeatFinding, ...], Field(strict=False)] = ()
    """Findings that are not reported, because they are intended here."""


class SftpServer(SettingsTable):
    """An SFTP server with the pipeline's login. Its secrets come from the environment."""

    host: str
    """Name or address of the server."""
    user: str
    """The pipeline's account on the server."""
    host_keys: Texts = Field(min_length=1)
    """Fingerprints (SHA256:...) or public keys of the server. No other key is trusted."""
    port: int = 22
    """Port of the server."""
    stall_seconds: int = 90
    """A transfer without progress for this long is given up. A server that scans uploads for
    viruses is silent for a while."""
    inbox: str | None = None
    """The folder in which senders leave files, with the layout of the local inbox."""
    outbox: str | None = None
    """The folder that holds every district's folder."""
    sender: str | None = None
    """The only sender that uses this server: a CD code, or platform, cccapply and so on. Its files
    are directly in inbox and outbox."""

    @model_validator(mode="after")
    def _check_folders(self) -> Self:
        if not (self.inbox or self.outbox):
            msg = "needs an inbox, an outbox, or both"
            raise ValueError(msg)
        return self


_LONGEST_YEAR = 366


class AcademicYear(SettingsTable):
    """The first and the last day of an academic year; both belong to it."""

    first_day: date
    """The first day."""
    last_day: date
    """The last day."""

    @model_validator(mode="after")
    def _check_days(self) -> Self:
        days = (self.last_day - self.first_day).days + 1
        if days < 1:
            msg = "ends before it begins: last_day must not be earlier than first_day"
            raise ValueError(msg)
        if days > _LONGEST_YEAR:
            msg = f"lasts {days:,} days: an academic year has {_LONGEST_YEAR} days at the most"
            raise ValueError(msg)
        return self


def _checked_years(years: tuple[AcademicYear, ...]) -> tuple[AcademicYear, ...]:
    """Returns the years, the earliest first. Raises ValueError if two cannot both be meant."""
    numbered = sorted(enumerate(years, start=1), key=lambda one: one[1].first_day)
    for (one, earlier), (other, later) in pairwise(numbered):
        if later.first_day <= earlier.last_day:
            msg = f"has entries that overlap: {one} and {other}"
            raise ValueError(msg)
        if later.first_day.year == earlier.first_day.year:
            msg = (
                f"has two entries that begin in the same calendar year: {one} and {other}. An "
                "entry is a whole academic year, with its holidays"
            )
            raise ValueError(msg)
    return tuple(year for _, year in numbered)


class CadenceProfile(SettingsTable):
    """How often a district's reports are written. Receipts are written every night."""

    daily_reporting: Cadence = "day"
    """How often the reports in "daily reporting" are written during the academic year."""
    legacy_reporting: Cadence = "day"
    """How often the reports in "legacy reporting" are written during the academic year."""
    weekday: Weekday = "monday"
    """The day of weekly reports. If its night is missed, the next night writes them."""
    outside: CadenceOutside = "week"
    """Whether all reports are written weekly or not at all outside the academic years."""
    academic_years: Annotated[
        tuple[AcademicYear, ...], Field(strict=False), AfterValidator(_checked_years)
    ] = ()
    """The academic years. A year that is not listed has the days of the last listed one before it,
    or of the first. Without any, every day is in an academic year."""


class DeliveryProfile(SettingsTable):
    """Which files of a district's outbox are sent where."""

    server: str | None = None
    """Name of the SFTP server that receives the files. Without it nothing is sent."""
    folder: str | None = None
    """The district's folder on that server, if it is not named after the district in outbox."""
    send: Texts = ("daily reporting", "legacy reporting", "_receipts")
    """The folders that are sent."""
    remove_taken: bool = False
    """Whether files that were loaded are removed from the server they came from."""
    small_cells: SmallCells = "none"
    """The rule by which aggregates hide counts of few students (docs/small-cells.md)."""
    spreadsheets: bool = False
    """Whether each report is there as a spreadsheet (.xlsx) too, in which a double click keeps the
    zeros of grades and every digit of an SSID."""


class OneRosterProfile(SettingsTable):
    """The OneRoster files of one district."""

    strict: bool = False
    """Whether the files must follow the specification to the letter."""
    mode: ModeOfFiles = "by_file"
    """Whether every file is a full set (bulk) or changes (delta), if the files do not say it."""
    date_form: DateForm = "YYYY-MM-DD"
    """Another form of dates that the district's system writes."""
    adds_only: bool = False
    """Whether records stay active when a file does not have them."""


class GuardProfile(SettingsTable):
    """How many records a drop may end or add before an operator is asked."""

    share: float = Field(default=0.10, ge=0, le=1)
    """Share of the active records of a file, and of a school: 0 always asks, 1 never."""
    at_least: int = 5
    """Fewer records of a file do not count. (Of OneRoster's small files half is too much.)"""
    school_at_least: int = 20
    """Fewer records of a school do not count."""
    growth: float = Field(default=0.25, ge=0)
    """New students (or users) that a drop may add, as a share of the active ones. A first roster
    may have any number. 0 always asks; a new school year may need more."""
    growth_at_least: int = 50
    """Fewer new students do not count."""
    unmatched: float = Field(default=0.25, ge=0, le=1)
    """Share of an extract's students whom Foster Focus does not know: 0 always asks, 1 never."""
    unmatched_at_least: int = 20
    """Fewer unknown students do not count."""
    approval_days: int = 7
    """Days for which an approval is valid."""


class OpenPgpSettings(SettingsTable):
    """OpenPGP for all districts (docs/openpgp.md)."""

    grace_days: int = Field(default=1, ge=0)
    """Nothing is sent to a key that ends within so many days, so that it can still be read."""


class OpenPgpProfile(SettingsTable):
    """OpenPGP with one district (docs/openpgp.md). Its keys are in `ccgi keys`.

    What is sent to it is encrypted from its first key on, whatever stands here.
    """

    received: ReceivedForm = "optional"
    """Whether files that come unencrypted are read (optional) or refused (required)."""
    signatures: SignaturePolicy = "record"
    """Whether a signature is ignored (off), told in the receipt (record), or a file is refused that
    no agreed key signed (require). A wrong signature is always refused."""
    armor: bool = False
    """Whether files are sent as text (ASCII armor) instead of binary, a third larger."""
    sign: bool = False
    """Whether files are sent signed by the installation. Not every program can open those."""


class ReceiptsProfile(SettingsTable):
    """The receipts of one district."""

    show_values: bool = False
    """Whether page and CSV repeat the cells that the first findings point at. They are students'
    data, and everybody who can read the district's folder can read them."""


class ContactProfile(SettingsTable):
    """Whom a district asks. Its page shows what is set here, to everybody who can read the page."""

    name: str = ""
    """A person or an office."""
    mail: str = ""
    """An address for mail."""
    phone: str = ""
    """A telephone number."""
    note: str = ""
    """A sentence, such as the hours in which somebody answers."""


class PagesSettings(SettingsTable):
    """The pages with pictures (docs/operating.md)."""

    folder: str = ""
    """The folder of the state page, if it is not `pages` in the warehouse folder. A path that does
    not begin with a slash is below the warehouse folder."""

    def locate(self, warehouse: Path) -> Path:
        """Returns the folder of the state page."""
        return warehouse / (self.folder or "pages")


class HousekeepingSettings(SettingsTable):
    """How long former states are kept, and when files are merged (docs/operating.md)."""

    weekday: HousekeepingDay = "sunday"
    """The day on which housekeeping begins by itself, at four o'clock in California; "never" leaves
    it to `ccgi housekeeping`. If it is missed, the next day makes it up."""
    keep_snapshots_days: int = Field(default=400, ge=1)
    """Files of the outbox can be made again for this many days after their night. More days need
    more room on the disk."""
    merge_files: bool = True
    """Whether small files of the tables are merged."""
    keep_runs_days: int | None = Field(default=None, ge=30)
    """Dagster's records of older runs are deleted. Without it they all stay."""


class DistrictProfile(SettingsTable):
    """The settings of one district."""

    parent_consent_means: ConsentMeaning = "consent"
    """What Y in ParentConsent means."""
    school_year_starts: MonthAndDay = "07-01"
    """Month and day on which the school year begins."""
    residency: Residency = "resident"
    """Decides which averages CSU and UC ask of the district's students."""
    foster_focus: FosterFocusProfile = Field(default_factory=FosterFocusProfile)
    oneroster: OneRosterProfile = Field(default_factory=OneRosterProfile)
    oneroster_api: OneRosterApiProfile = Field(default_factory=OneRosterApiProfile)
    cadence: CadenceProfile = Field(default_factory=CadenceProfile)
    delivery: DeliveryProfile = Field(default_factory=DeliveryProfile)
    guard: GuardProfile = Field(default_factory=GuardProfile)
    receipts: ReceiptsProfile = Field(default_factory=ReceiptsProfile)
    openpgp: OpenPgpProfile = Field(default_factory=OpenPgpProfile)
    contact: ContactProfile = Field(default_factory=ContactProfile)
    severities: Mapping[str, SeverityName] = Field(default_factory=dict)
    """Severities other than usual, by a rule's id."""

    def is_strict(self, family: str) -> bool:
        """Returns whether the files of a family must follow their specification to the letter."""
        return bool(getattr(getattr(self, family, None), "strict", False))

    def school_year(self, on: date) -> int:
        """Returns the school year of a day, named by the year in which it ends."""
        return on.year + ((on.month, on.day) >= month_and_day(self.school_year_starts))


class Profiles(SettingsTable):
    """The settings of the CCGI pipeline."""

    reports: ReportSettings = Field(default_factory=ReportSettings)
    receipts: ReceiptSettings = Field(default_factory=ReceiptSettings)
    intake: IntakeSettings = Field(default_factory=IntakeSettings)
    notices: NoticeSettings = Field(default_factory=NoticeSettings)
    heartbeat: HeartbeatSettings = Field(default_factory=HeartbeatSettings)
    openpgp: OpenPgpSettings = Field(default_factory=OpenPgpSettings)
    pages: PagesSettings = Field(default_factory=PagesSettings)
    housekeeping: HousekeepingSettings = Field(default_factory=HousekeepingSettings)
    sftp: Mapping[ServerName, SftpServer] = Field(default_factory=dict)
    """SFTP servers, by a name of the operator's choice."""
    foster_focus: FosterFocusSettings = Field(default_factory=FosterFocusSettings)
    defaults: DistrictProfile = Field(default_factory=DistrictProfile)
    """Settings of every district; its own table overrides them one by one."""
    districts: Mapping[CdCode, DistrictProfile] = Field(default_factory=dict)
    """Settings of single districts, by CD code."""

    def of(self, cd: str) -> DistrictProfile:
        """Returns the profile of the district with this CD code."""
        return self.districts.get(cd, self.defaults)

    @property
    def api_districts(self) -> list[str]:
        """Returns the districts whose roster is fetched by the OneRoster API, by CD code."""
        named = self.districts.items()
        return sorted(cd for cd, profile in named if profile.oneroster_api.server is not None)

    def find_calendars_to_continue(self, on: date) -> list[str]:
        """Returns whose academic years have all ended by ``on``: ``defaults``, and CD codes."""
        named = {"defaults": self.defaults, **self.districts}
        return [
            name
            for name, profile in named.items()
            if (years := profile.cadence.academic_years)
            and max(year.last_day for year in years) < on
            and (name == "defaults" or years != self.defaults.cadence.academic_years)
        ]

    def with_permanent_ids(self, senders: Iterable[str]) -> list[str]:
        """Returns those of ``senders`` whose unique IDs are permanent."""
        return [s for s in senders if self.of(s).foster_focus.unique_ids_are_permanent]


def read_profiles(warehouse: Path) -> Profiles:
    """Returns the profiles of a warehouse: the defaults without a file. Raises ProfileError."""
    path = warehouse / FILE_NAME
    return profiles_in(path) if path.exists() else Profiles()


def profiles_in(path: Path) -> Profiles:
    """Returns the profiles in a file. Raises ProfileError with all faults of the file."""
    return profiles_from(path.read_bytes(), path)


def profiles_from(content: bytes, path: Path, *, of_past_night: bool = False) -> Profiles:
    """Returns the profiles in ``content``, which is that of ``path``. Raises ProfileError.

    ``of_past_night``: the names of rules and folders are not checked, and former settings are
    passed over, since nobody can correct the settings of a night that is over.
    """
    try:
        file = tomllib.loads(content.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        what = error if isinstance(error, tomllib.TOMLDecodeError) else "it is not in UTF-8"
        msg = f"{path}: {what}"
        raise ProfileError(msg) from None
    if of_past_night:
        file = faults.without_former_settings(file)
    merged = _with_defaults(file)
    found = (
        []
        if of_past_night
        else [
            *faults.of_references(file),
            *_shared_folders(merged),
            *_shared_api_clients(merged),
        ]
    )
    try:
        profiles = Profiles.model_validate(merged)
    except ValidationError as error:
        found = [*faults.of_validation(error, file, Profiles), *found]
    if found:
        raise ProfileError("\n".join(f"{path}: {fault}" for fault in found))
    return profiles


def _shared_folders(merged: Mapping[str, Any]) -> Iterator[str]:
    """Yields the folders on servers that two senders would share."""
    named, districts = faults.table_at(merged, "sftp"), faults.table_at(merged, "districts")
    return find_shared_folders(
        {name: faults.table_at(merged, "sftp", name) for name in named},
        faults.table_at(merged, "defaults", "delivery"),
        {cd: faults.table_at(merged, "districts", cd, "delivery") for cd in districts},
    )


def _shared_api_clients(merged: Mapping[str, Any]) -> Iterator[str]:
    """Yields the clients of OneRoster APIs that two districts would share."""
    districts = faults.table_at(merged, "districts")
    return find_shared_clients(
        {cd: faults.table_at(merged, "districts", cd, "oneroster_api") for cd in districts}
    )


def _with_defaults(file: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the file with the defaults in the table of every district."""
    defaults = faults.table_at(file, "defaults")
    districts = file.get("districts", {})
    if not isinstance(districts, dict):
        return {**file}
    return {**file, "districts": {cd: _merged(defaults, own) for cd, own in districts.items()}}


def _merged(defaults: Mapping[str, Any], own: object) -> object:
    """Returns a district's table with the defaults; tables in it are merged, deeper ones not."""
    if not isinstance(own, dict):
        return own
    tables = {
        name: {**defaults[name], **own[name]}
        for name in defaults.keys() & own.keys()
        if isinstance(defaults[name], dict) and isinstance(own[name], dict)
    }
    return {**defaults, **own, **tables}
