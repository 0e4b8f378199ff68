"""The contract of the look-up: fields with their lengths and formats, problems, and answers. Pure.

Belongs here: Tables 1 and 2 of the Scope of Data Sharing, with the names of its business rules
(FirstName, LastName, BirthDate, CDSCode, CCCID, SSID), and what else both ends must know: the
service's paths and that it needs TLS. Does not belong here: which clients may send requests, and
which student matches.

Values are normalised by one rule: a letter with an accent is one sign (Unicode's form NFC), blanks
around a value are trimmed, and nothing else is changed. So a match is a match of all required
fields, letter by letter, however a system stores an accent. Values are students' data: no
message and no ``repr`` of this module contains one.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from enum import StrEnum
from typing import Any

import polars as pl

from ccgi_pipeline.common.errors import PermanentError

TOKEN_PATH = "/oauth/token"  # noqa: S105 - an address
LOOKUP_PATH = "/ssid-lookup"
VERIFICATION_PATH = "/enrollment-verifications"


class InsecureError(PermanentError):
    """Students' data would go over a network without encryption."""


BLANKS = (
    " \t\n\v\f\r\u0085\u00a0\u1680"
    "\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
"""The characters that are trimmed; listed because Python, polars and DuckDB each trim others."""

NOT_IN_A_NAME = r"[\x00-\x1f\x7f-\x9f]"
"""Control characters, as a regular expression that means the same to Python and polars."""

_NOT_TEXT = re.compile(NOT_IN_A_NAME + r"|[\ud800-\udfff]")
"""Control characters, and surrogates: JSON can contain these halves of characters."""


class ProblemCode(StrEnum):
    """The codes of what can be wrong with a field."""

    REQUIRED = "required"
    TYPE = "type"
    LENGTH = "length"
    FORMAT = "format"
    REPEATED = "repeated"
    UNEXPECTED = "unexpected"


@dataclass(frozen=True, slots=True)
class ContractField:
    """A field of a request; ``form`` describes its format in words, ``pattern`` is its regex.

    ``example`` is of nobody: an SSID that begins with 9 is invented.
    """

    name: str
    description: str
    length: int
    example: str
    required: bool = True
    form: str = "text without control characters"
    pattern: str | None = None
    is_date: bool = False


SSID = ContractField(
    "SSID",
    "Statewide Student Identifier, as the student gave it",
    10,
    "9000000001",
    required=False,
    form="10 digits",
    pattern="[0-9]{10}",
)
CCCID = ContractField(
    "CCCID",
    "California Community College identifier",
    # The contract says 7; a comment beside it says that the field already is 8 wide.
    8,
    "ABC1234",
    form="7 or 8 letters and digits",
    pattern="[A-Za-z0-9]{7,8}",
)
BIRTH_DATE = ContractField(
    "BirthDate",
    "The student's date of birth",
    10,
    "2008-04-09",
    form="YYYY-MM-DD, a day of the calendar",
    pattern="[0-9]{4}-[0-9]{2}-[0-9]{2}",
    is_date=True,
)
LOOKUP_FIELDS = (
    SSID,
    CCCID,
    ContractField("FirstName", "The student's first name", 30, "Marisol"),
    ContractField("LastName", "The student's last name", 50, "de la Cruz"),
    BIRTH_DATE,
    ContractField(
        "CDSCode",
        "High school of attendance: county-district-school code",
        14,
        "01611920130062",
        form="14 digits",
        pattern="[0-9]{14}",
    ),
)
"""Table 1, in its order."""

LOOKUP_ANSWER_FIELDS = (
    replace(SSID, description="Statewide Student Identifier", required=True),
    CCCID,
)
"""Table 2."""


@dataclass(frozen=True, slots=True)
class LookupRequest:
    """A look-up that meets the contract. Its ``repr`` shows no value."""

    first_name: str = field(repr=False)
    last_name: str = field(repr=False)
    birth_date: str = field(repr=False)
    cds_code: str = field(repr=False)
    cccid: str = field(default="", repr=False)
    ssid: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """A problem of a field; ``field`` is None if the problem is not of one of the fields."""

    field: str | None
    problem: ProblemCode
    message: str


class InvalidRequestError(Exception):
    """A request does not meet the contract."""

    def __init__(self, problems: Sequence[FieldProblem], message: str = "") -> None:
        super().__init__(f"{len(problems)} problems")
        self.problems = tuple(problems)
        self.message = message or "These fields do not meet the contract."


def parse_lookup(body: bytes) -> LookupRequest:
    """Returns the look-up of a request's body; raises InvalidRequestError."""
    values = read_fields(body, LOOKUP_FIELDS)
    return LookupRequest(
        first_name=values["FirstName"],
        last_name=values["LastName"],
        birth_date=values["BirthDate"],
        cds_code=values["CDSCode"],
        cccid=values["CCCID"],
        ssid=values["SSID"] or None,
    )


def read_fields(body: bytes, fields: Sequence[ContractField]) -> dict[str, str]:
    """Returns the normalised values of a JSON object; "" for blank and absent fields.

    Raises InvalidRequestError, which names every bad field.
    """
    members = _parse_members(body)
    known = {spec.name for spec in fields}
    problems = [
        problem
        for spec in fields
        if (problem := _find_problem(spec, [value for name, value in members if name == spec.name]))
    ]
    if any(name not in known for name, _ in members):
        # The field is not named, because its name is the client's text, as its value is.
        message = "only the contract's fields may be sent"
        problems.append(FieldProblem(None, ProblemCode.UNEXPECTED, message))
    if problems:
        raise InvalidRequestError(problems)
    values = dict(members)
    return {spec.name: normalize_text(values.get(spec.name)) for spec in fields}


def _parse_members(body: bytes) -> list[tuple[str, Any]]:
    try:
        parsed = json.loads(body.decode(), object_pairs_hook=_Members)
    except (ValueError, RecursionError):
        raise InvalidRequestError((), "The body is not JSON in UTF-8.") from None
    if not isinstance(parsed, _Members):
        raise InvalidRequestError((), "The body is not a JSON object.")
    return parsed


class _Members(list[tuple[str, Any]]):
    """The members of a JSON object, repeated ones included."""


def normalize_text(value: str | None) -> str:
    """Returns a value as it is compared; absent is blank."""
    return unicodedata.normalize("NFC", value or "").strip(BLANKS)


def normalize_column(text: pl.Expr) -> pl.Expr:
    """Returns a column normalised as the values of a request are; absent is blank."""
    return text.str.normalize("NFC").str.strip_chars(BLANKS).fill_null("")


def _find_problem(spec: ContractField, values: Sequence[Any]) -> FieldProblem | None:
    if len(values) > 1:
        return FieldProblem(spec.name, ProblemCode.REPEATED, "give it once")
    value = values[0] if values else None
    if value is not None and not isinstance(value, str):
        return FieldProblem(spec.name, ProblemCode.TYPE, "write it as a string")
    text = normalize_text(value)
    if not text:
        missing = FieldProblem(spec.name, ProblemCode.REQUIRED, "it must be given")
        return missing if spec.required else None
    if len(text) > spec.length:
        message = f"at most {spec.length} characters"
        return FieldProblem(spec.name, ProblemCode.LENGTH, message)
    if not _is_well_formed(spec, text):
        return FieldProblem(spec.name, ProblemCode.FORMAT, f"write it as {spec.form}")
    return None


def _is_well_formed(spec: ContractField, text: str) -> bool:
    if spec.pattern is None:
        return _NOT_TEXT.search(text) is None
    if re.fullmatch(spec.pattern, text) is None:
        return False
    return not spec.is_date or _is_a_day(text)


def _is_a_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def build_match_answer(ssid: str, cccid: str) -> dict[str, str]:
    """Returns the answer of Table 2."""
    return {"SSID": ssid, "CCCID": cccid}


NO_STUDENT_FOUND = {"error": "no_student_found", "message": "No student found"}
"""The answer (HTTP 400) to every look-up without a match, for any reason."""


def build_invalid_request_answer(error: InvalidRequestError) -> dict[str, Any]:
    """Returns the answer (HTTP 422) to a request that does not meet the contract."""
    return {
        "error": "invalid_request",
        "message": error.message,
        "fields": [
            {"field": problem.field, "problem": str(problem.problem), "message": problem.message}
            for problem in error.problems
        ],
    }


def build_example(fields: Sequence[ContractField]) -> dict[str, str]:
    """Returns an object with all required fields, for the OpenAPI page."""
    return {spec.name: spec.example for spec in fields if spec.required}


def build_json_schema(fields: Sequence[ContractField]) -> Mapping[str, Any]:
    """Returns the JSON schema of the fields, for the OpenAPI page."""
    return {
        "type": "object",
        "additionalProperties": False,
        "required": [spec.name for spec in fields if spec.required],
        "properties": {spec.name: _build_property(spec) for spec in fields},
    }


def _build_property(spec: ContractField) -> dict[str, Any]:
    shown = {
        "type": "string",
        "maxLength": spec.length,
        "description": f"{spec.description} ({spec.form})",
        "examples": [spec.example],
    }
    return {**shown, "pattern": f"^{spec.pattern}$"} if spec.pattern else shown
