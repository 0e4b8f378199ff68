"""The contract's fields, as a parser that anything may be thrown at."""

from __future__ import annotations

import json
from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccgi_pipeline.ssid_lookup.contract import (
    BLANKS,
    LOOKUP_FIELDS,
    InvalidRequestError,
    build_invalid_request_answer,
    parse_lookup,
)

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def _written(members: object) -> bytes:
    return json.dumps(members).encode()


_NAMES = st.sampled_from([spec.name for spec in LOOKUP_FIELDS])
_GOOD = {
    "CCCID": "ABC1234",
    "FirstName": "Marisol",
    "LastName": "de la Cruz",
    "BirthDate": "2008-04-09",
    "CDSCode": "01611920133629",
}


def _refused(body: bytes) -> InvalidRequestError | None:
    try:
        parse_lookup(body)
    except InvalidRequestError as error:
        return error
    return None


@given(st.binary(max_size=200) | st.dictionaries(_NAMES | st.text(), _JSON).map(_written))
def test_any_body_is_a_look_up_or_told_what_is_wrong(body: bytes):
    refused = _refused(body)
    if refused is not None:
        told = build_invalid_request_answer(refused)
        assert set(told) == {"error", "message", "fields"}
        assert set(str(refused)) <= set("0123456789 problems")
        for problem in told["fields"]:
            assert set(problem) == {"field", "problem", "message"}


@given(st.dictionaries(_NAMES, st.text(st.characters(min_codepoint=0x4E00), min_size=3)))
def test_no_message_holds_anything_of_a_value(values: dict[str, str]):
    refused = _refused(_written({**_GOOD, **values}))
    assert refused is None or str(build_invalid_request_answer(refused)).isascii()


@given(st.text(BLANKS), st.text(BLANKS), st.sampled_from(sorted(_GOOD)))
def test_blanks_around_a_value_are_trimmed(before: str, after: str, name: str):
    padded = _written({**_GOOD, name: before + _GOOD[name] + after})
    assert parse_lookup(padded) == parse_lookup(_written(_GOOD))


def test_a_name_with_its_accents_apart_is_as_long_as_it_looks():
    name = "é" * 30
    found = parse_lookup(_written({**_GOOD, "FirstName": normalize("NFD", name)}))
    assert found.first_name == name


def test_every_blank_that_python_knows_is_trimmed_or_a_control_character():
    blanks = {character for code in range(0x11000) if (character := chr(code)).isspace()}
    assert set(BLANKS) <= blanks
    assert blanks - set(BLANKS) == set("\x1c\x1d\x1e\x1f")


def test_a_look_up_does_not_tell_whom_it_is_about():
    request = parse_lookup(_written({**_GOOD, "SSID": "9000000001"}))
    assert repr(request) == "LookupRequest()"


@pytest.mark.parametrize("cccid", ["ABC1234", "ABC12345", "1234567", "aaaaaaaa"])
def test_a_cccid_has_seven_characters_or_eight(cccid: str):
    assert parse_lookup(_written({**_GOOD, "CCCID": cccid})).cccid == cccid
