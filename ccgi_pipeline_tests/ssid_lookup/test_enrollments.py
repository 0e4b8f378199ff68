"""Verification of enrollment: validated like a look-up, stored once however often it is sent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from ccgi_pipeline.ssid_lookup.client_registry import ClientScope
from ccgi_pipeline.ssid_lookup.enrollments import (
    EnrollmentCount,
    EnrollmentStore,
    EnrollmentVerification,
    VerificationFate,
)
from ccgi_pipeline.ssid_lookup.service import VERIFICATION_PATH
from ccgi_pipeline.ssid_lookup.store import CccidStore
from ccgi_pipeline_tests.ssid_lookup.services import OAuth2Client, Service, registered, running

MEMBERS = {
    "CCCID": "ABC1234",
    "SSID": "9000000001",
    "College": "021",
    "Term": "267",
    "Status": "enrolled",
    "Date": "2026-08-24",
}
ENROLLMENT = EnrollmentVerification(*MEMBERS.values())


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("lookup")) as started:
        yield started


@pytest.fixture(scope="module")
def client(service: Service) -> Iterator[OAuth2Client]:
    secret = registered(service.folder, "colleges", ClientScope.VERIFY)
    with service.oauth_client("colleges", secret) as made:
        yield made


def _sent(client: OAuth2Client, **others: object) -> httpx.Response:
    answer: httpx.Response = client.post(VERIFICATION_PATH, json={**MEMBERS, **others})
    return answer


def test_sent_twice_it_is_one_record_and_a_change_is_an_update(
    service: Service, client: OAuth2Client
):
    answers = [
        _sent(client),
        _sent(client),
        _sent(client, Status="withdrawn", Date="2026-10-01"),
        _sent(client, CCCID="XYZ98765", Term="273"),
    ]
    assert [answer.status_code for answer in answers] == [200] * 4
    assert {answer.json()["result"] for answer in answers} == {"stored"}
    fates = [
        VerificationFate.INSERTED,
        VerificationFate.UNCHANGED,
        VerificationFate.UPDATED,
        VerificationFate.INSERTED,
    ]
    assert [answer.json()["fate"] for answer in answers] == fates
    assert [line["outcome"] for line in service.operator_lines(5)[1:5]] == fates
    with closing(EnrollmentStore(service.folder)) as stored:
        assert stored.count_by_status() == [
            EnrollmentCount("021", "267", "withdrawn", students=1, looked_up=0),
            EnrollmentCount("021", "273", "enrolled", students=1, looked_up=0),
        ]


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        *((name, None, "required") for name in MEMBERS),
        *((name, "  ", "required") for name in MEMBERS),
        *((name, 7, "type") for name in MEMBERS),
        *((name, "x" * 20, "length") for name in MEMBERS),
        ("CCCID", "ABC 123", "format"),
        ("SSID", "900000001", "format"),
        ("College", "21", "format"),
        ("College", "LAC", "format"),
        ("Term", "Fa6", "format"),
        ("Status", "Enrolled", "format"),
        ("Status", "graduated", "format"),
        ("Date", "2026-02-30", "format"),
        ("Date", "08/24/2026", "format"),
    ],
)
def test_a_bad_field_is_named(client: OAuth2Client, field: str, value: object, problem: str):
    answer = _sent(client, **{field: value})
    assert answer.status_code == 422
    told = [(one["field"], one["problem"]) for one in answer.json()["fields"]]
    assert told == [(field, problem)]


def test_what_is_not_named_may_not_be_sent(client: OAuth2Client):
    assert _sent(client, Grade="A").json()["fields"][0]["problem"] == "unexpected"


def test_of_several_at_once_the_last_one_stands(tmp_path: Path):
    left = EnrollmentVerification("ABC1234", "9000000001", "021", "267", "withdrawn", "2026-10-01")
    with closing(EnrollmentStore(tmp_path)) as enrollments:
        fates = enrollments.store([ENROLLMENT, left, ENROLLMENT, ENROLLMENT])
        assert fates == [
            VerificationFate.INSERTED,
            VerificationFate.UPDATED,
            VerificationFate.UPDATED,
            VerificationFate.UNCHANGED,
        ]
        assert [count.status for count in enrollments.count_by_status()] == ["enrolled"]


def test_the_report_tells_for_how_many_the_look_up_had_given_the_ssid(tmp_path: Path):
    other = EnrollmentVerification("XYZ9876", "9000000002", "021", "267", "enrolled", "2026-08-24")
    with closing(CccidStore(tmp_path)) as cccids, closing(EnrollmentStore(tmp_path)) as enrollments:
        cccids.store([("9000000001", "ABC1234"), ("9000000002", "ABC1234")])
        enrollments.store([ENROLLMENT, other])
        assert enrollments.count_by_status() == [
            EnrollmentCount("021", "267", "enrolled", students=2, looked_up=1)
        ]


def test_its_words_about_itself_do_not_tell_who_it_is():
    assert "ABC1234" not in repr(ENROLLMENT)
    assert "9000000001" not in repr(ENROLLMENT)
