"""Each of the six fields in each state, asked with curl and with a standard OAuth client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ccgi_pipeline.ssid_lookup.service import LOOKUP_PATH
from ccgi_pipeline.ssid_lookup.store import load_identities
from ccgi_pipeline_tests.ssid_lookup.people import HAYWARD_HIGH, PALM_SPRINGS_HIGH, frame, identity
from ccgi_pipeline_tests.ssid_lookup.services import OAuth2Client, Service, registered, running

SSID = "9000000001"
RIGHT = {
    "SSID": SSID,
    "CCCID": "ABC1234",
    "FirstName": "Marisol",
    "LastName": "de la Cruz",
    "BirthDate": "2008-04-09",
    "CDSCode": HAYWARD_HIGH,
}
ABSENT = object()


@dataclass(frozen=True)
class Asker:
    """Asks the same in two ways."""

    service: Service
    token: str
    client: OAuth2Client

    def ask(self, members: dict[str, Any]) -> tuple[int, Any]:
        by_curl = self.service.curl(self.token, members)
        # As ASCII: only so can half a character be sent at all.
        answer = self.client.post(
            LOOKUP_PATH,
            content=json.dumps(members),
            headers={"Content-Type": "application/json"},
        )
        assert (answer.status_code, answer.json()) == by_curl
        return by_curl


@pytest.fixture(scope="module")
def asker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asker]:
    folder: Path = tmp_path_factory.mktemp("lookup")
    load_identities(folder, [frame([identity(SSID), identity("9000000002", first="Ana")])])
    secret = registered(folder, "cccapply")
    with running(folder, tls=True) as service, service.oauth_client("cccapply", secret) as client:
        yield Asker(service, service.token("cccapply", secret), client)


MATCH = (200, None)
NOBODY = (400, None)
CASES: dict[str, dict[str, tuple[object, tuple[int, str | None]]]] = {
    "SSID": {
        "present": (SSID, MATCH),
        "absent": (ABSENT, MATCH),
        "null": (None, MATCH),
        "blank": ("", MATCH),
        "blanks": ("   ", MATCH),
        "with blanks around": (f" {SSID}\n", MATCH),
        "too long": (SSID + "1", (422, "length")),
        "too short": ("900000001", (422, "format")),
        "malformed": ("90000X0001", (422, "format")),
        "digits of another script": ("٩٠٠٠٠٠٠٠٠١", (422, "format")),
        "a number": (9000000001, (422, "type")),
        # The match is on the required fields; an SSID only decides between several students.
        "wrong": ("9000000002", MATCH),
    },
    "CCCID": {
        "present": ("ABC1234", MATCH),
        "eight characters": ("ABC12345", MATCH),
        "absent": (ABSENT, (422, "required")),
        "null": (None, (422, "required")),
        "blank": ("", (422, "required")),
        "blanks": (" \t", (422, "required")),
        "too long": ("ABC123456", (422, "length")),
        "too short": ("ABC123", (422, "format")),
        "malformed": ("ABC-123", (422, "format")),
        "a list": (["ABC1234"], (422, "type")),
        # Nothing is matched by it: it is what will be stored.
        "another": ("XYZ9876", MATCH),
    },
    "FirstName": {
        "present": ("Marisol", MATCH),
        "absent": (ABSENT, (422, "required")),
        "null": (None, (422, "required")),
        "blank": ("", (422, "required")),
        "blanks": ("\u00a0 ", (422, "required")),
        "with blanks around": (" Marisol\u3000", MATCH),
        "too long": ("M" * 31, (422, "length")),
        "as long as may be": ("M" * 30, NOBODY),
        "malformed": ("Mari\x00sol", (422, "format")),
        "half a character": ("Mari\ud800sol", (422, "format")),
        "an object": ({"is": "Marisol"}, (422, "type")),
        "wrong": ("Maria", NOBODY),
        "in other letters": ("MARISOL", NOBODY),
    },
    "LastName": {
        "present": ("de la Cruz", MATCH),
        "absent": (ABSENT, (422, "required")),
        "null": (None, (422, "required")),
        "blank": ("", (422, "required")),
        "blanks": ("  ", (422, "required")),
        "with blanks around": ("de la Cruz ", MATCH),
        "too long": ("C" * 51, (422, "length")),
        "as long as may be": ("C" * 50, NOBODY),
        "malformed": ("de\nla Cruz", (422, "format")),
        "true": (True, (422, "type")),
        "wrong": ("Cruz", NOBODY),
        "with other blanks inside": ("de  la Cruz", NOBODY),
    },
    "BirthDate": {
        "present": ("2008-04-09", MATCH),
        "absent": (ABSENT, (422, "required")),
        "null": (None, (422, "required")),
        "blank": ("", (422, "required")),
        "blanks": ("  ", (422, "required")),
        "with blanks around": (" 2008-04-09 ", MATCH),
        "too long": ("2008-04-09T00:00:00", (422, "length")),
        "too short": ("2008-4-9", (422, "format")),
        "malformed": ("04/09/2008", (422, "format")),
        "no day of the calendar": ("2007-02-29", (422, "format")),
        "as ISO weeks": ("2008-W15-3", (422, "format")),
        "a number": (20080409, (422, "type")),
        "wrong": ("2008-04-10", NOBODY),
        "day and month exchanged": ("2008-09-04", NOBODY),
    },
    "CDSCode": {
        "present": (HAYWARD_HIGH, MATCH),
        "absent": (ABSENT, (422, "required")),
        "null": (None, (422, "required")),
        "blank": ("", (422, "required")),
        "blanks": ("  ", (422, "required")),
        "with blanks around": (f"\t{HAYWARD_HIGH} ", MATCH),
        "too long": (HAYWARD_HIGH + "0", (422, "length")),
        "without its leading zero": (HAYWARD_HIGH[1:], (422, "format")),
        "malformed": ("01-61192-01336", (422, "format")),
        "a number": (int(HAYWARD_HIGH), (422, "type")),
        "wrong": (PALM_SPRINGS_HIGH, NOBODY),
    },
}
ROWS = [
    pytest.param(field, value, expected, id=f"{field} {state}")
    for field, states in CASES.items()
    for state, (value, expected) in states.items()
]


@pytest.mark.parametrize(("field", "value", "expected"), ROWS)
def test_a_field_is_answered_as_the_contract_says(
    asker: Asker, field: str, value: object, expected: tuple[int, str | None]
):
    members = {**RIGHT, field: value}
    if value is ABSENT:
        del members[field]
    status, body = asker.ask(members)
    assert status == expected[0]
    if status == 200:
        assert body == {"SSID": SSID, "CCCID": str(members["CCCID"]).strip()}
    elif status == 400:
        assert body == {"error": "no_student_found", "message": "No student found"}
    else:
        assert body["error"] == "invalid_request"
        told = [(problem["field"], problem["problem"]) for problem in body["fields"]]
        assert told == [(field, expected[1])]


def test_every_bad_field_is_named_in_one_answer(asker: Asker):
    status, body = asker.ask({"SSID": "x", "FirstName": 1, "LastName": "C" * 51, "CDSCode": ""})
    assert status == 422
    assert [(problem["field"], problem["problem"]) for problem in body["fields"]] == [
        ("SSID", "format"),
        ("CCCID", "required"),
        ("FirstName", "type"),
        ("LastName", "length"),
        ("BirthDate", "required"),
        ("CDSCode", "required"),
    ]


def test_what_the_contract_does_not_name_may_not_be_sent_and_is_not_repeated(asker: Asker):
    status, body = asker.ask({**RIGHT, "Gender": "F", "Marisol's address": "12 Elm Street"})
    assert status == 422
    assert [(problem["field"], problem["problem"]) for problem in body["fields"]] == [
        (None, "unexpected")
    ]
    assert "Elm" not in str(body)
    assert "Marisol" not in str(body)


def test_no_answer_to_a_bad_request_repeats_a_value(asker: Asker):
    told = {"FirstName": "Quetzalli\x07", "LastName": "Ybarra" * 20, "BirthDate": "19/11/2007"}
    _, body = asker.ask({**RIGHT, **told, "CDSCode": "77665544332", "CCCID": "Z#9"})
    words = ("Quetzalli", "Ybarra", "19/11", "77665544332", "Z#9")
    assert not [word for word in words if word in str(body)]
