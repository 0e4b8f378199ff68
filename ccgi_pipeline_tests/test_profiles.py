"""The settings file: what may be in it, and which faults are reported in which words."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any, get_args

import pytest
from click.testing import CliRunner, Result

import ccgi_pipeline.profiles
from ccgi_pipeline.cli import main
from ccgi_pipeline.feeds.rules import Severity
from ccgi_pipeline.profiles import (
    FILE_NAME,
    ProfileError,
    Profiles,
    SeverityName,
    profiles_from,
    read_profiles,
)
from ccgi_pipeline_tests.nightly.inboxes import (
    HAYWARD,
    HAYWARD_HIGH,
    PALM_SPRINGS,
    PALM_SPRINGS_HIGH,
    put_roster,
    student,
)
from ccgi_pipeline_tests.nightly.nights import folders_in, take_and_load, writing


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
        ("[reports]\npercent_decimals = 9\n", "must be at most 2; found 9"),
        ('[reports]\npercent_of = "county"\n', "must be one of 'grade', 'school'"),
    ],
)
def test_a_setting_that_cannot_be_followed_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ProfileError, match=said):
        written(tmp_path, text)


def faults(folder: Path, text: str) -> list[str]:
    """The faults of a settings file, without the name of the file."""
    with pytest.raises(ProfileError) as raised:
        written(folder, text)
    return [line.removeprefix(f"{folder / FILE_NAME}: ") for line in str(raised.value).splitlines()]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[report]\n", "report is no setting; did you mean `reports`?"),
        (
            "[districts.3367173.guard]\nshar = 0.2\n",
            "districts.3367173.guard.shar is no setting; did you mean `share`?",
        ),
        (
            '[sftp.a]\nhost = "h"\nuser = "u"\nhostkeys = ["k"]\nhost_keys = ["k"]\ninbox = "/"\n',
            "sftp.a.hostkeys is no setting; did you mean `host_keys`?",
        ),
        (
            '[defaults.severities]\nOR-USR-GRADE = "info"\n',
            "defaults.severities.OR-USR-GRADE is no rule; did you mean `OR-USR-GRADES`?",
        ),
        (
            '[defaults.foster_focus.file_names]\ndemographic = "FY"\n',
            (
                "defaults.foster_focus.file_names.demographic is no extract of Foster Focus; did "
                "you mean `demographics`?"
            ),
        ),
    ],
)
def test_a_wrong_key_is_reported_with_its_place_and_the_nearest_right_one(
    tmp_path: Path, text: str, said: str
) -> None:
    assert faults(tmp_path, text) == [said]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[districts.3367173.guard]\nshare = 25\n", "guard.share must be at most 1; found 25"),
        (
            '[districts.3367173.cadence]\nlegacy_reporting = "weekly"\n',
            "cadence.legacy_reporting must be one of 'day', 'week'; found 'weekly'",
        ),
        (
            '[districts.3367173.foster_focus]\nno_school = [2026-11-26, "2026-11-27"]\n',
            (
                "foster_focus.no_school (entry 2) must be a date such as 2026-08-17, without "
                "quotation marks; found a text"
            ),
        ),
        (
            "[districts.3367173.foster_focus]\nlast_school_day = 2027-06-11\n",
            "foster_focus needs both first_school_day and last_school_day, or neither",
        ),
        ("[districts.3367173]\nguard = 1\n", "guard must be a table; found a whole number"),
    ],
)
def test_a_wrong_value_is_reported_with_its_place_and_what_is_allowed_and_found(
    tmp_path: Path, text: str, said: str
) -> None:
    assert faults(tmp_path, text) == [f"districts.3367173.{said}"]


@pytest.mark.parametrize(
    ("address", "kept"),
    [
        ("https://ccgi.example.org/dictionary/", "https://ccgi.example.org/dictionary"),
        ("https://ccgi.example.org:8443", "https://ccgi.example.org:8443"),
        ("http://127.0.0.1:8000/dictionary", "http://127.0.0.1:8000/dictionary"),
        ("http://[::1]/", "http://[::1]"),
    ],
)
def test_the_address_of_a_dictionary_is_kept_without_a_slash_at_its_end(
    tmp_path: Path, address: str, kept: str
) -> None:
    read = written(tmp_path, f'[receipts]\ndictionary_url = "{address}"\n')
    assert read.receipts.dictionary_url == kept


@pytest.mark.parametrize(
    "address",
    [
        "http://ccgi.example.org/dictionary",
        "http://127.0.0.1.example.org/",
        "ccgi.example.org/dictionary",
        "javascript:alert(1)",
        "https://",
        "https://user:hunter2@ccgi.example.org/",
        "https://ccgi.example.org/?page=",
        "https://ccgi.example.org/#rules",
        "https://ccgi.example.org/'><b>",
        "https://ccgi.example.org/two words",
        "https://ccgi.example.org:port/",
        "https://[::1/",
    ],
)
def test_an_address_that_may_not_be_linked_is_refused(tmp_path: Path, address: str) -> None:
    (said,) = faults(tmp_path, f'[receipts]\ndictionary_url = "{address}"\n')
    assert said.startswith("receipts.dictionary_url must be an address such as")
    assert "hunter2" not in said


def test_all_faults_of_a_file_are_reported_together(tmp_path: Path) -> None:
    text = """
        [reports]
        percent_of = "county"
        [defaults.delivery]
        server = "nowhere"
        [districts.3367173]
        residency = true
        guard.shar = 1
        severities.NO-SUCH-RULE = "info"
        """
    assert [fault.split()[0] for fault in faults(tmp_path, text)] == [
        "reports.percent_of",
        "districts.3367173.residency",
        "districts.3367173.guard.shar",
        "defaults.delivery.server",
        "districts.3367173.severities.NO-SUCH-RULE",
    ]


def test_a_fault_of_the_defaults_is_reported_once(tmp_path: Path) -> None:
    text = "[defaults.guard]\nshare = 25\n[districts.3367173.guard]\nat_least = 3\n"
    assert faults(tmp_path, text) == ["defaults.guard.share must be at most 1; found 25"]


@pytest.mark.parametrize(
    "setting",
    [
        'reports.percent_decimals = "1"',
        "reports.percent_decimals = true",
        "reports.percent_decimals = 1.0",
        "reports.percent_of = 1",
        "intake.quiet_minutes = true",
        'intake.quiet_minutes = "5"',
        "heartbeat.night_hours = false",
        "defaults.guard.at_least = true",
        "defaults.guard.at_least = 5.0",
        "defaults.receipts.show_values = 1",
        'defaults.receipts.show_values = "true"',
        "defaults.school_year_starts = 701",
        "defaults.foster_focus.no_school = [2026-11-26T00:00:00]",
        "defaults.foster_focus.tests_in_sis = [1]",
        "defaults.foster_focus.sites = {110 = 1}",
        'defaults.delivery.send = "_receipts"',
        "defaults.delivery.folder = 1",
    ],
)
def test_no_value_is_taken_for_one_of_another_type(tmp_path: Path, setting: str) -> None:
    assert len(faults(tmp_path, setting)) == 1


def test_a_whole_number_is_a_number(tmp_path: Path) -> None:
    profiles = written(tmp_path, "intake.quiet_minutes = 2\ndefaults.guard.share = 1\n")
    assert (profiles.intake.quiet_minutes, profiles.of("3367173").guard.share) == (2.0, 1.0)


def test_a_district_inherits_each_setting_that_it_does_not_make(tmp_path: Path) -> None:
    text = """
        [defaults]
        residency = "nonresident"
        guard.share = 0.5
        severities.OR-USR-GRADES = "info"
        foster_focus.strict = true
        foster_focus.file_names.demographics = "DEM"
        foster_focus.file_names.gpa = "GPA"
        [districts.3367173]
        guard.at_least = 3
        severities.FILE-TOO-LARGE = "warning"
        foster_focus.file_names.gpa = "AVERAGES"
        """
    profile = written(tmp_path, text).of("3367173")
    assert profile.residency == "nonresident"
    assert (profile.guard.share, profile.guard.at_least) == (0.5, 3)
    assert profile.severities == {"OR-USR-GRADES": "info", "FILE-TOO-LARGE": "warning"}
    assert profile.foster_focus.strict
    assert profile.foster_focus.file_names == {"gpa": "AVERAGES"}, "named together, not merged"


CANARY = "hunter2-9753100001"


@pytest.mark.parametrize(
    "text",
    [
        f'[sftp.a]\npassword = "{CANARY}"\n',
        f'[sftp.a]\nport = "{CANARY}"\n',
        f'[sftp.a]\nhost_keys = "{CANARY}"\n',
        f'[notices]\nsmtp_tls = "{CANARY}"\nkinds = ["{CANARY}"]\n',
        f'[defaults]\nschool_year_starts = "{CANARY}"\n',
        f'[defaults.delivery]\nserver = "{CANARY}"\n',
        f'[defaults.severities]\nOR-USR-GRADES = "{CANARY}"\n',
        "[defaults.guard]\nshare = 9753100001\nat_least = 9753100001.5\n",
        "[notices]\nsmtp_user = 9753100001\n",
        f'[notices]\nsmtp_user = "{CANARY}',
    ],
)
def test_no_fault_repeats_what_may_be_a_secret_or_a_students_value(
    tmp_path: Path, text: str
) -> None:
    reported = "\n".join(faults(tmp_path, text))
    assert "hunter2" not in reported
    assert "97531" not in reported
    assert "e+09" not in reported


def test_a_file_in_another_encoding_is_refused_with_words(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes('installation = "Peña"'.encode("cp1252"))
    with pytest.raises(ProfileError, match="it is not in UTF-8"):
        read_profiles(tmp_path)


OWN_SERVER = """
[sftp.desert]
host = "sftp.desert.example.org"
user = "ccgi"
host_keys = ["SHA256:x"]
sender = "3367173"
outbox = "/from_ccgi/"
[sftp.reports]
host = "reports.example.org"
user = "pipeline"
host_keys = ["SHA256:x"]
outbox = "/districts"
[defaults.delivery]
server = "reports"
[districts.3367173.delivery]
"""


@pytest.mark.parametrize(
    ("setting", "key"), [('folder = "/psusd"', "folder"), ('server = "reports"', "server")]
)
def test_a_district_with_a_server_of_its_own_has_no_second_folder(
    tmp_path: Path, setting: str, key: str
) -> None:
    (fault,) = faults(tmp_path, OWN_SERVER + setting)
    assert fault.startswith(f"districts.3367173.delivery.{key} contradicts [sftp.desert]")
    assert f"Remove {key} here" in fault


@pytest.mark.parametrize(
    "setting",
    [
        'folder = "/from_ccgi"',
        'folder = "/from_ccgi//"',
        'server = "desert"',
        'small_cells = "cde_11"',
    ],
)
def test_a_profile_may_say_the_same_as_the_districts_own_server(
    tmp_path: Path, setting: str
) -> None:
    assert written(tmp_path, OWN_SERVER + setting).of("3367173").delivery.send


def test_the_settings_of_a_past_night_are_read_whatever_they_refer_to(tmp_path: Path) -> None:
    past = OWN_SERVER + 'folder = "/psusd"\n[defaults.severities]\nGONE-RULE = "info"\n'
    profiles = profiles_from(past.encode(), tmp_path / FILE_NAME, of_past_night=True)
    assert profiles.of("3367173").delivery.folder == "/psusd"
    with pytest.raises(ProfileError, match=r"GONE-RULE(?s:.)*contradicts"):
        profiles_from(past.encode(), tmp_path / FILE_NAME)


SHARED_SERVER = """
[sftp.reports]
host = "reports.example.org"
user = "pipeline"
host_keys = ["SHA256:x"]
outbox = "/districts"
[sftp.twin]
host = "Reports.example.org."
user = "pipeline"
host_keys = ["SHA256:x"]
outbox = "/others"
inbox = "/uploads"
"""


def delivering(**folders: str) -> str:
    """The folders of districts (``d`` and the CD code) on the server of ``SHARED_SERVER``."""
    return SHARED_SERVER + "".join(
        f'[districts.{cd.removeprefix("d")}.delivery]\nserver = "reports"\nfolder = "{folder}"\n'
        for cd, folder in folders.items()
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("/a", "/a"),
        ("/a", "/a/"),
        ("/a", "//a"),
        ("/a", "/b/../a"),
        ("/a", "/./a"),
        ("/a", "/A"),
        ("/a", "a"),
        ("/a", "/a/b"),
        ("/a/b/c", "/a"),
        ("/Caf\u00e9", "/CAFE\u0301"),
        ("/a", "\\\\a"),
        ("/", "/a"),
        ("/a", "../a"),
    ],
)
def test_two_districts_never_share_a_folder(tmp_path: Path, one: str, other: str) -> None:
    (fault,) = faults(tmp_path, delivering(d3367173=one, d0161192=other))
    for cd in ("3367173", "0161192"):
        assert f"districts.{cd}.delivery.folder" in fault
    assert "would read each other's files" in fault


@pytest.mark.parametrize(
    ("one", "other"), [("/a", "/b"), ("/a/b", "/a/bc"), ("/ab", "/a"), ("/a/x", "/b/x")]
)
def test_districts_may_have_folders_side_by_side(tmp_path: Path, one: str, other: str) -> None:
    profiles = written(tmp_path, delivering(d3367173=one, d0161192=other))
    assert profiles.of("3367173").delivery.folder == one


def test_every_pair_in_one_folder_is_named(tmp_path: Path) -> None:
    text = delivering(d3367173="/a", d0161192="/a/b", d0110017="/a/c", d1964733="/d")
    assert len(faults(tmp_path, text)) == 2


def test_one_server_under_two_names_is_one_server(tmp_path: Path) -> None:
    text = delivering(d3367173="/a") + (
        '[districts.0161192.delivery]\nserver = "twin"\nfolder = "/a"\n'
    )
    (fault,) = faults(tmp_path, text)
    assert fault.startswith("districts.0161192.delivery.folder and districts.3367173.delivery")


def test_folders_of_two_accounts_may_have_one_name(tmp_path: Path) -> None:
    text = delivering(d3367173="/a").replace('user = "pipeline"', 'user = "other"', 1) + (
        '[districts.0161192.delivery]\nserver = "twin"\nfolder = "/a"\n'
    )
    assert written(tmp_path, text).of("0161192").delivery.server == "twin"


@pytest.mark.parametrize("folder", ["/districts", "/Districts/", "/"])
def test_a_folder_is_not_that_of_all_districts(tmp_path: Path, folder: str) -> None:
    text = delivering(d3367173=folder) + '[defaults.delivery]\nserver = "reports"\n'
    (fault,) = faults(tmp_path, text)
    assert "contains the folders of other districts: they are below sftp.reports.outbox" in fault


def test_the_defaults_do_not_send_all_districts_into_one_folder(tmp_path: Path) -> None:
    text = SHARED_SERVER + '[defaults.delivery]\nserver = "reports"\nfolder = "/all"\n'
    (fault,) = faults(tmp_path, text)
    assert fault.startswith("defaults.delivery.folder sends the files of all districts into one")


def test_a_folder_of_the_defaults_is_that_of_each_district_with_a_server(tmp_path: Path) -> None:
    text = SHARED_SERVER + (
        '[defaults.delivery]\nfolder = "/all"\n'
        '[districts.3367173.delivery]\nserver = "reports"\n'
        '[districts.0161192.delivery]\nserver = "reports"\n'
    )
    (fault,) = faults(tmp_path, text)
    assert "3367173" in fault
    assert "0161192" in fault


def test_a_districts_own_server_is_no_other_districts_folder(tmp_path: Path) -> None:
    own = SHARED_SERVER.replace('outbox = "/others"', 'outbox = "/others"\nsender = "0110017"')
    text = own + '[districts.3367173.delivery]\nserver = "reports"\nfolder = "/others/x"\n'
    (fault,) = faults(tmp_path, text)
    assert "sftp.twin.outbox and districts.3367173.delivery.folder" in fault


@pytest.mark.parametrize(
    ("folder", "refused"), [("/uploads/0161192/out", True), ("/uploads/3367173/out", False)]
)
def test_a_folder_is_not_in_another_districts_inbox(
    tmp_path: Path, folder: str, *, refused: bool
) -> None:
    text = delivering(d3367173=folder)
    if refused:
        (fault,) = faults(tmp_path, text)
        assert "is in the inbox of 0161192" in fault
    else:
        assert written(tmp_path, text).of("3367173").delivery.folder == folder


def test_severities_are_those_of_rules() -> None:
    assert [*get_args(SeverityName)] == [*map(str, Severity)]


def test_reading_settings_imports_neither_feeds_nor_dagster() -> None:
    code = "import sys, ccgi_pipeline.profiles; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    assert not {"dagster", "pandera", "ccgi_pipeline.feeds"} & {*loaded.decode().split()}


PAGES = Path(__file__).parents[1] / "docs"
SAMPLES = {
    f"{page.name}-{number}": sample
    for page in sorted(PAGES.glob("*.md"))
    for number, sample in enumerate(
        re.findall(r"(?ms)^```toml\n(.*?)^```", page.read_text()), start=1
    )
}
_, _, EXAMPLE = (ccgi_pipeline.profiles.__doc__ or "").partition("Example::\n")


@pytest.mark.parametrize("sample", [*SAMPLES.values(), EXAMPLE], ids=[*SAMPLES, "docstring"])
def test_every_documented_sample_can_be_read(tmp_path: Path, sample: str) -> None:
    assert written(tmp_path, sample).model_fields_set - {"districts"} <= {*tomllib.loads(sample)}


def test_the_pages_have_samples() -> None:
    assert len(SAMPLES) >= 7


def schema() -> dict[str, Any]:
    result = ccgi("schema")
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def ccgi(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["profiles", *map(str, arguments)])


_TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "null": (),
    "string": (str, date),  # to an editor TOML's dates are strings
}


def fits(value: object, allowed: Mapping[str, Any], whole: Mapping[str, Any]) -> bool:
    """Whether a value is as the schema says. It knows only the words that this schema uses."""
    if "$ref" in allowed:
        allowed = whole["$defs"][allowed["$ref"].removeprefix("#/$defs/")]
    if "anyOf" in allowed:
        return any(fits(value, one, whole) for one in allowed["anyOf"])
    if type(value) not in _TYPES[allowed["type"]] or value not in allowed.get("enum", [value]):
        return False
    match value:
        case dict():
            return {*allowed.get("required", ())} <= {*value} and all(
                _fits_key(key, one, allowed, whole) for key, one in value.items()
            )
        case list():
            return all(fits(one, allowed["items"], whole) for one in value)
        case int() | float():
            return allowed.get("minimum", value) <= value <= allowed.get("maximum", value)
    return bool(re.search(allowed.get("pattern", ""), str(value)))


def _fits_key(key: str, value: object, table: Mapping[str, Any], whole: Mapping[str, Any]) -> bool:
    if key in table.get("properties", {}):
        return fits(value, table["properties"][key], whole)
    for pattern, allowed in table.get("patternProperties", {}).items():
        if re.search(pattern, key):
            return fits(value, allowed, whole)
    others = table.get("additionalProperties", False)
    return bool(others) and fits(value, others, whole)


def test_the_schema_fits_every_documented_sample() -> None:
    whole = schema()
    for sample in (*SAMPLES.values(), EXAMPLE):
        assert fits(tomllib.loads(sample), whole, whole), sample


@pytest.mark.parametrize(
    "text",
    [
        "[report]",
        "[districts.3367173.guard]\nshar = 1",
        "[districts.3367173.guard]\nshare = 25",
        "[districts.PalmSprings]",
        '[sftp.a]\nhost = "h"',
        '[defaults]\nresidency = "abroad"',
        'intake.quiet_minutes = "5"',
        "defaults.delivery.send = [1]",
        'defaults.school_year_starts = "July"',
    ],
)
def test_the_schema_does_not_fit_a_wrong_file(text: str) -> None:
    whole = schema()
    assert not fits(tomllib.loads(text), whole, whole)


def test_the_schema_says_what_every_setting_means() -> None:
    whole = schema()
    tables = [whole, *whole["$defs"].values()]
    settings = {
        f"{table['title']}.{name}": setting
        for table in tables
        for name, setting in table["properties"].items()
    }
    assert all("description" in table for table in tables)
    assert len(settings) > 70
    assert not [
        name
        for name, setting in settings.items()
        if "description" not in setting and "$ref" not in setting
    ]


def test_a_good_file_ends_the_check_with_status_0(tmp_path: Path) -> None:
    written(tmp_path, "[reports]\npercent_decimals = 2\n")
    for result in (ccgi("check", tmp_path / FILE_NAME), ccgi("check", "--warehouse", tmp_path)):
        assert (result.exit_code, result.output) == (0, f"{tmp_path / FILE_NAME} is good.\n")


def test_a_faulty_file_ends_the_check_with_status_1_and_a_line_for_each_fault(
    tmp_path: Path,
) -> None:
    reported = faults(tmp_path, "[report]\n[defaults]\nresidence = 1\n")
    result = ccgi("check", "--warehouse", tmp_path)
    assert result.exit_code == 1
    assert result.output.splitlines() == [f"{tmp_path / FILE_NAME}: {fault}" for fault in reported]
    assert len(reported) == 2


def test_a_check_of_nothing_ends_with_status_2(tmp_path: Path) -> None:
    assert ccgi("check").exit_code == 2
    assert ccgi("check", tmp_path / FILE_NAME, "--warehouse", tmp_path).exit_code == 2
    for arguments in (["check", tmp_path], ["check", "--warehouse", tmp_path]):
        result = ccgi(*arguments)
        assert result.exit_code == 2
        assert "cannot be read" in result.output


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


YEAR = "{ first_day = 2026-08-12, last_day = 2027-06-04 }"
NEXT = "{ first_day = 2027-08-11, last_day = 2028-06-02 }"
AGAIN = "{ first_day = 2026-12-01, last_day = 2027-08-01 }"


@pytest.mark.parametrize(
    ("cadence", "said"),
    [
        (
            "academic_years = [{ first_day = 2027-06-04, last_day = 2026-08-12 }]",
            (
                "academic_years (entry 1) ends before it begins: last_day must not be earlier than "
                "first_day"
            ),
        ),
        (
            f"academic_years = [{YEAR}, {{ first_day = 2027-08-11, last_day = 2029-06-02 }}]",
            "academic_years (entry 2) lasts 662 days: an academic year has 366 days at the most",
        ),
        (
            f"academic_years = [{NEXT}, {YEAR}, {AGAIN}]",
            "academic_years has entries that overlap: 2 and 3",
        ),
        (
            f"academic_years = [{YEAR.replace('2027-06-04', '2027-08-11')}, {NEXT}]",
            "academic_years has entries that overlap: 1 and 2",
        ),
        (
            (
                "academic_years = [{ first_day = 2026-08-12, last_day = 2026-12-18 }, "
                "{ first_day = 2026-12-28, last_day = 2027-06-04 }]"
            ),
            (
                "academic_years has two entries that begin in the same calendar year: 1 and 2. An "
                "entry is a whole academic year, with its holidays"
            ),
        ),
        (
            "academic_years = [{ first_day = 2026-08-12 }]",
            "academic_years.last_day (entry 1) is missing",
        ),
        (
            "academic_years = [{ first = 1, first_day = 2026-08-12, last_day = 2027-06-04 }]",
            "academic_years.first (entry 1) is no setting; did you mean `first_day`?",
        ),
        (
            f"academic_years = {YEAR}",
            "academic_years must be a list; found a table",
        ),
        (
            'academic_years = [{ first_day = "2026-08-12", last_day = 2027-06-04 }]',
            (
                "academic_years.first_day (entry 1) must be a date such as 2026-08-17, without "
                "quotation marks; found a text"
            ),
        ),
        (
            f'outside = "day"\nacademic_years = [{YEAR}]',
            "outside must be one of 'week', 'none'; found a text",
        ),
        (
            'outside = "none"',
            "outside has no effect without academic_years: name them, or remove outside",
        ),
        ('weekday = "mon"', "weekday must be one of"),
    ],
)
@pytest.mark.parametrize("of", ["defaults", "districts.3367173"])
def test_a_wrong_calendar_is_reported_with_the_entry_that_is_wrong(
    tmp_path: Path, of: str, cadence: str, said: str
) -> None:
    (fault,) = faults(tmp_path, f"[{of}.cadence]\n{cadence}\n")
    assert fault.startswith(f"{of}.cadence.{said}")


def test_a_district_may_have_another_calendar_than_the_others(tmp_path: Path) -> None:
    profiles = written(
        tmp_path,
        f'[defaults.cadence]\noutside = "none"\nacademic_years = [{NEXT}, {YEAR}]\n'
        f'[districts.3367173.cadence]\nacademic_years = [{AGAIN}]\nweekday = "sunday"\n'
        "[districts.0110017.cadence]\nacademic_years = []\n",
    )
    usual, own, whole = (profiles.of(cd).cadence for cd in ("0161192", "3367173", "0110017"))
    assert [year.first_day.year for year in usual.academic_years] == [2026, 2027]
    assert [year.first_day.month for year in own.academic_years] == [12]
    assert (own.outside, own.weekday) == ("none", "sunday")
    assert whole.academic_years == ()


def test_the_check_names_academic_years_that_nobody_continued(tmp_path: Path) -> None:
    old = "{ first_day = 2019-08-12, last_day = 2020-06-04 }"
    far = "{ first_day = 2098-08-12, last_day = 2099-06-04 }"
    file = tmp_path / FILE_NAME

    def told(text: str) -> list[str]:
        file.write_text(text)
        result = CliRunner().invoke(main, ["profiles", "check", f"{file}"])
        assert result.exit_code == 0, result.output
        return re.findall(r"academic years of (\w+) have ended", result.output)

    of_district = "[districts.3367173.cadence]\n"
    assert told("") == told(of_district) == []
    assert told(f"[defaults.cadence]\nacademic_years = [{old}]\n{of_district}") == ["defaults"]
    assert told(
        f"[defaults.cadence]\nacademic_years = [{old}, {far}]\n"
        f"{of_district}academic_years = [{old}]\n"
    ) == ["3367173"]


def test_a_former_setting_says_where_it_is_now_and_is_passed_over_in_a_past_night(
    tmp_path: Path,
) -> None:
    for of in ("defaults", "districts.3367173"):
        past = f'[{of}.delivery]\nevery = "week"\nweekday = "friday"\nremove_taken = true\n'
        told = faults(tmp_path, past)
        assert [fault.split(";")[0] for fault in told] == [
            f"{of}.delivery.every is no setting any more",
            f"{of}.delivery.weekday is no setting any more",
        ]
        assert all("moved to the table `cadence`" in fault for fault in told)
        read = profiles_from(past.encode(), tmp_path / FILE_NAME, of_past_night=True)
        assert read.of("3367173").delivery.remove_taken
