"""What the page answers, asked without a server: each request, its receipt, and what is refused.

Belongs here: the service as an app, with files judged in this process. Its processes and sockets
are tested in ``test_server``, the page in ``test_page``.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from ccgi_pipeline.check_service import refusals
from ccgi_pipeline.check_service.request_guard import HEADERS
from ccgi_pipeline.cli import main
from ccgi_pipeline.feeds.foster_focus import DEMOGRAPHICS
from ccgi_pipeline.feeds.transcript import STUDENT
from ccgi_pipeline_tests.check_service.services import ON, LocalService, served_here
from ccgi_pipeline_tests.files import DISTRICT, as_bytes, good_file, good_lines, good_set, zipped
from ccgi_pipeline_tests.verification.causes.samples import SAMPLES, name_of

GOOD = {"StudentTemplate.csv": good_file(STUDENT)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("uploads")


@pytest.fixture
def service(folder: Path) -> Iterator[LocalService]:
    """The service; whatever it was asked, nothing is left of it."""
    with served_here(folder) as served:
        yield served
    assert [*folder.iterdir()] == []


# --- receipts -------------------------------------------------------------------------------------

_BACK = '<p class="back"><a href="./">Check other files</a></p>\n'


def as_the_command_says(files: dict[str, bytes], tmp_path: Path, form: str) -> str:
    """What ``ccgi check`` prints of the same files."""
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    here = Path.cwd()
    os.chdir(tmp_path)
    try:
        command = ["check", *files, "--date", ON, "--format", form]
        return CliRunner().invoke(main, command).output
    finally:
        os.chdir(here)


QUICK = {"CAUSE-EMPTY", "CAUSE-PGP", "CAUSE-TWICE", "CAUSE-LEADING-ZERO", "CAUSE-DAY-MONTH"}


@pytest.mark.parametrize(
    "id_",
    [id_ if id_ in QUICK else pytest.param(id_, marks=pytest.mark.slow) for id_ in SAMPLES],
)
def test_a_file_of_every_cause_is_answered_as_the_command_answers_it(
    id_: str, service: LocalService, tmp_path: Path
) -> None:
    sample = SAMPLES[id_][0]
    files = {name_of(sample): sample.content}
    answer = service.check(files)
    assert answer.status_code == 200
    shown = answer.text.replace(_BACK, "", 1)
    shown = shown.replace("“Save the findings as JSON” on the page before", "--format json")
    assert shown == as_the_command_says(files, tmp_path, "html")


def test_findings_can_be_saved_as_json(service: LocalService, tmp_path: Path) -> None:
    sample = SAMPLES["CAUSE-LEADING-ZERO"][0]
    answer = service.check({name_of(sample): sample.content}, format="json")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["content-disposition"] == 'attachment; filename="findings.json"'
    said = as_the_command_says({name_of(sample): sample.content}, tmp_path, "json")
    assert answer.json() == json.loads(said)


def test_a_good_file_is_accepted_and_counted(service: LocalService) -> None:
    answer = service.check(GOOD)
    assert answer.status_code == 200
    assert "Send the files." in answer.text
    assert _BACK in answer.text
    assert service.counts.describe() == {"judged": {"accepted": 1}, "refused": {}}


def test_loose_files_and_a_zip_are_judged_as_one_delivery(service: LocalService) -> None:
    whole = good_set("oneroster")
    for sent in (whole, {"OneRoster.zip": zipped(whole)}):
        answer = service.check(sent, format="json").json()
        assert answer["verdict"] == "accepted"
        assert len(answer["files"]) == len(whole)
    part = {name: content for name, content in whole.items() if name != "orgs.csv"}
    assert service.check(part, format="json").json()["verdict"] != "accepted"


def test_no_path_of_the_machine_is_told(service: LocalService, folder: Path) -> None:
    assert service.check(GOOD, format="json").json()["files"][0]["path"] == "StudentTemplate.csv"
    assert f"{folder}" not in service.check(GOOD).text


def test_the_kind_of_files_can_be_said(service: LocalService) -> None:
    one = {"data.csv": good_file(STUDENT)}
    by_itself = service.check(one, format="json").json()["files"][0]
    told = service.check(one, format="json", family="foster_focus").json()["files"][0]
    assert by_itself["family"] == "transcript"
    assert told["family"] == "foster_focus"


def test_the_day_can_be_said(service: LocalService) -> None:
    later = service.check(GOOD, format="json", date="2040-11-20").json()
    assert later["verdict"] != service.check(GOOD, format="json").json()["verdict"]


def test_with_the_code_schools_of_other_districts_are_errors(service: LocalService) -> None:
    other = [dict(line) for line in good_lines(STUDENT)]
    other[0]["PrimaryCDSCode"] = "01611920133629"
    files = {"StudentTemplate.csv": as_bytes(STUDENT, other)}
    assert service.check(files, format="json").json()["files"][0]["fates"].get("rejected", 0) == 0
    with_code = service.check(files, format="json", district=DISTRICT).json()["files"][0]
    assert with_code["fates"]["rejected"] == 1


def test_with_the_code_the_settings_of_the_district_count(folder: Path, tmp_path: Path) -> None:
    profiles = tmp_path / "profiles.toml"
    profiles.write_text(
        f'[districts.{DISTRICT}.foster_focus.file_names]\ndemographics = "Youth.txt"\n'
    )
    youth = {"Youth.txt": good_file(DEMOGRAPHICS)}
    with served_here(folder, profiles=profiles) as service:
        asked = {"format": "json", "family": "foster_focus"}
        named = service.check(youth, **asked, district=DISTRICT).json()["files"][0]
        assert named["feed"] == "foster_focus_demographics"
        assert "settings of your district count" in service.send("GET", "/").text


def test_cells_are_shown_only_if_they_are_asked_for(service: LocalService) -> None:
    sample = SAMPLES["CAUSE-POWERS-OF-TEN"][0]
    files = {name_of(sample): sample.content}
    assert "5.00E+09" not in service.check(files).text
    shown = service.check(files, show_values="1").text
    assert "5.00E+09" in shown
    assert "This page shows pupils" in shown


# --- names of files -------------------------------------------------------------------------------

HARMLESS = {
    "../../../etc/StudentTemplate.csv": "StudentTemplate.csv",
    "/etc/cron.d/StudentTemplate.csv": "StudentTemplate.csv",
    "C:\\Users\\me\\StudentTemplate.csv": "StudentTemplate.csv",
    "..\\..\\StudentTemplate.csv": "StudentTemplate.csv",
    "<img src=x onerror=alert(1)>.csv": "<img src=x onerror=alert(1)>.csv",
    "Student Template\u202evsc.exe": "Student Template\u202evsc.exe",
    "-rf.csv": "-rf.csv",
    "José.csv": "José.csv",
    "…" * 60: "…" * 60,
}


@pytest.mark.parametrize("name", HARMLESS)
def test_a_name_leads_nowhere_and_is_shown_as_text(name: str, service: LocalService) -> None:
    answer = service.check({name: GOOD["StudentTemplate.csv"]}, format="json")
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["files"]) == 1
    page = service.check({name: GOOD["StudentTemplate.csv"]}).text
    assert "<img" not in page
    assert "\u202e" not in page


def part(name: bytes, content: bytes = b"x", field: bytes = b"files") -> bytes:
    head = b'Content-Disposition: form-data; name="' + field + b'"; filename="' + name + b'"'
    return b"--limit\r\n" + head + b"\r\n\r\n" + content + b"\r\n"


END = b"--limit--\r\n"
FORM = {"Content-Type": "multipart/form-data; boundary=limit"}


def send_raw(service: LocalService, body: bytes, **headers: str) -> tuple[int, str]:
    """Status and reason of the answer to a body as it is given."""
    answer = service.send("POST", "/check", content=body, headers={**FORM, **headers})
    reasons = service.counts.describe()["refused"]
    return answer.status_code, next(iter(reasons), "")


def test_names_that_differ_in_bytes_only_are_two_files(service: LocalService) -> None:
    fields = b'--limit\r\nContent-Disposition: form-data; name="format"\r\n\r\njson\r\n'
    body = part("Jos\u00e9.csv".encode()) + part("Jose\u0301.csv".encode()) + part(b"Jos\xe9.csv")
    answer = service.send("POST", "/check", content=body + fields + END, headers=FORM)
    assert len({file["path"] for file in answer.json()["files"]}) == 3


BROKEN = {
    "a name of dots": (part(b"..") + END, "name"),
    "a name that ends with a slash": (part(b"a/") + END, "name"),
    "NUL in a name": (part(b"a\0.csv") + END, "name"),
    "a name that is too long": (part(b"a" * 300) + END, "name"),
    "a name of 100 KB": (part(b"a" * 100_000) + END, "broken_form"),
    "the same name twice": (part(b"a.csv") + part(b"x/a.csv") + END, "same_name"),
    "no file": (part(b"") + END, "no_file"),
    "no part at all": (END, "no_file"),
    "nothing": (b"", "broken_form"),
    "no end": (part(b"a.csv"), "broken_form"),
    "another limit": (part(b"a.csv").replace(b"limit", b"other") + END, "broken_form"),
    "a part without a head": (b"--limit\r\n\r\nx\r\n" + END, "no_file"),
    "too many headers": (
        b"--limit\r\n" + b"X-More: and more\r\n" * 100 + b"\r\nx\r\n" + END,
        "broken_form",
    ),
    "too many files": (b"".join(part(b"%d.csv" % n) for n in range(201)) + END, "too_many_files"),
    "too many fields": (
        b"".join(part(b"", field=b"f").replace(b'; filename=""', b"") for n in range(21)) + END,
        "broken_form",
    ),
    "a field that is too long": (
        part(b"", b"x" * 300, b"family").replace(b'; filename=""', b"") + END,
        "broken_form",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_form_that_is_not_right_is_refused_in_words(what: str, service: LocalService) -> None:
    body, reason = BROKEN[what]
    status, told = send_raw(service, body)
    assert told == reason
    assert 400 <= status < 500


@pytest.mark.parametrize(
    "kind",
    ["text/csv", "application/x-www-form-urlencoded", "multipart/form-data", "multipart/mixed"],
)
def test_what_is_no_form_with_files_is_refused(kind: str, service: LocalService) -> None:
    body = part(b"a.csv") + END
    assert send_raw(service, body, **{"Content-Type": kind}) == (415, "no_form")


def test_a_boundary_that_is_too_long_is_refused(service: LocalService) -> None:
    kind = f"multipart/form-data; boundary={'x' * 3000}"
    assert send_raw(service, b"", **{"Content-Type": kind}) == (400, "broken_form")


OPTIONS = {
    "family": ("family", "students"),
    "date": ("date", "yesterday"),
    "district": ("district", "../../etc"),
    "format": ("format", "xml"),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_that_means_nothing_is_refused(name: str, service: LocalService) -> None:
    field, value = OPTIONS[name]
    answer = service.check(GOOD, **{field: value})
    assert answer.status_code == 400
    assert service.counts.describe()["refused"] == {name: 1}
    assert value not in answer.text
    assert service.check(GOOD, date="0001-01-01").status_code == 400


def test_files_that_are_too_large_are_refused_while_they_arrive(folder: Path) -> None:
    with served_here(folder, largest=1000) as service:
        assert service.check({"a.csv": bytes(1000)}).status_code == 200
        two = {"a.csv": bytes(600), "b.csv": bytes(600)}
        for sent in ({"a.csv": bytes(1001)}, two):
            assert service.check(sent).status_code == 413
        # With a length that is declared, before anything is read; without one, as soon as it is
        # known.
        assert send_raw(service, part(b"a", bytes(2_000_000)) + END)[0] == 413
        assert service.counts.describe()["refused"] == {"too_large": 3}
        assert [*folder.iterdir()] == []


# --- who may ask ----------------------------------------------------------------------------------

AT = "127.0.0.1:8765"
OWN = {"Sec-Fetch-Site": "same-origin", "Origin": f"http://{AT}"}


def post(service: LocalService, **headers: str) -> int:
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    sent = [("files", ("StudentTemplate.csv", b"x"))]
    return service.send("POST", "/check", files=sent, headers=headers).status_code


def test_the_page_itself_and_programs_may_send_files(service: LocalService) -> None:
    assert post(service) == 200
    assert post(service, Sec_Fetch_Site="same-origin", Origin=f"http://{AT}") == 200
    # A page that sends no referrer sends no origin either.
    assert post(service, Sec_Fetch_Site="same-origin", Origin="null") == 200
    assert post(service, Origin=f"http://{AT}") == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec_Fetch_Site": "cross-site", "Origin": "https://evil.example"},
        {"Sec_Fetch_Site": "same-site", "Origin": "http://127.0.0.1:9999"},
        {"Sec_Fetch_Site": "none"},
        {"Sec_Fetch_Site": "same-origin", "Origin": "https://evil.example"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": f"http://{AT}.evil.example"},
    ],
)
def test_pages_of_other_sites_may_not(headers: dict[str, str], service: LocalService) -> None:
    assert post(service, **headers) == 403
    assert service.counts.describe() == {"judged": {}, "refused": {"other_site": 1}}


def test_only_known_names_of_the_host_are_answered(folder: Path) -> None:
    with served_here(folder, hosts=frozenset({"check.example.org"})) as service:
        for host, status in {
            AT: 200,
            "localhost:8765": 200,
            "check.example.org": 200,
            "CHECK.example.org:443": 200,
            "evil.example": 421,
            "check.example.org.evil.example": 421,
            "": 421,
        }.items():
            assert service.send("GET", "/", headers={"Host": host}).status_code == status, host


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("GET", "/health", 200),
        ("GET", "/nowhere", 404),
        ("GET", "/check", 405),
        ("GET", "/check/", 404),
        ("PUT", "/check", 405),
        ("POST", "/", 405),
        ("POST", "/check", 415),
        ("GET", "/%2e%2e/%2e%2e/etc/passwd", 404),
    ],
)
def test_every_answer_has_the_headers_that_keep_it_to_itself(
    method: str, path: str, status: int, service: LocalService
) -> None:
    answer = service.send(method, path)
    assert answer.status_code == status
    for name, value in HEADERS.items():
        if name != "Content-Security-Policy":
            assert answer.headers[name] == value
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert "set-cookie" not in answer.headers


def test_nothing_on_the_page_comes_from_elsewhere(service: LocalService) -> None:
    page = service.send("GET", "/").text
    assert "://" not in page
    assert re.findall(r'(?:href|action|src)="([^"]*)"', page) == ["data:,", "check"]


# --- faults ---------------------------------------------------------------------------------------


def test_a_fault_is_answered_without_a_word_of_the_file(
    service: LocalService, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        msg = "canary in a message"
        raise ValueError(msg)

    monkeypatch.setattr("ccgi_pipeline_tests.check_service.services.judge", fail)
    answer = service.check(GOOD)
    assert answer.status_code == 500
    assert refusals.FAULT.message in answer.text
    assert service.counts.describe()["refused"] == {"fault": 1}
    assert "canary" not in answer.text + "".join(capfd.readouterr())
