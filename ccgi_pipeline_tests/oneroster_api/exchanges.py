"""One request and its answer, as faults see and change them.

Belongs here: what is passed through the stages of an answer. Does not belong here: the stages
themselves (server).
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ccgi_pipeline_tests.oneroster_api.objects import Record
from ccgi_pipeline_tests.oneroster_api.queries import Query

if TYPE_CHECKING:
    from ccgi_pipeline_tests.oneroster_api.authorization import Asked
    from ccgi_pipeline_tests.oneroster_api.faults import Fault
    from ccgi_pipeline_tests.oneroster_api.server import RosterServer

JSON_TYPE = "application/json"
HTML_TYPE = "text/html; charset=utf-8"
LOGIN_PAGE = b"<!DOCTYPE html><html><title>Log in</title><form>Please log in.</form></html>"


@dataclass
class Answer:
    """What is sent. ``headers`` may say a wrong Content-Length: it is sent as it stands.

    ``cut``: the connection is reset after so many bytes of the body. ``drip``: seconds between two
    bytes. ``silent``: nothing is sent, and the connection stays open. ``endless``: what follows the
    body, until the client has enough.
    """

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut: int | None = None
    drip: float = 0.0
    silent: bool = False
    endless: Iterable[bytes] = ()


def as_json(status: int, content: object) -> Answer:
    """An answer of a JSON value."""
    return Answer(status, {"Content-Type": JSON_TYPE}, json.dumps(content).encode())


def as_html(status: int) -> Answer:
    """A page for people."""
    return Answer(status, {"Content-Type": HTML_TYPE}, LOGIN_PAGE)


def as_error(version: str, status: int, code: str, words: str) -> Answer:
    """An error as the version of the specification describes it."""
    said = {"imsx_codeMajor": "failure", "imsx_severity": "error", "imsx_description": words}
    if version == "1.1":
        return as_json(status, {"statusInfoSet": [{**said, "imsx_CodeMinor": code}]})
    field_ = {"imsx_codeMinorFieldName": "TargetEndSystem", "imsx_codeMinorFieldValue": code}
    return as_json(status, {**said, "imsx_CodeMinor": {"imsx_codeMinorField": [field_]}})


@dataclass
class Exchange:
    """A request for a collection on its way to an answer.

    ``kind``: the kind of object; ``key``: the name of the list. ``chosen``: all records asked for.
    ``fault``: the one whose turn it is.
    """

    server: RosterServer
    asked: Asked
    parameters: Mapping[str, str]
    kind: str = ""
    key: str = ""
    query: Query | None = None
    chosen: Sequence[Record] = ()
    fault: Fault | None = None

    @property
    def offset(self) -> int:
        return self.query.offset if self.query else 0

    @property
    def limit(self) -> int:
        return self.query.limit if self.query else 1

    @property
    def later(self) -> bool:
        """Whether the page is not the first one, as far as the parameters say."""
        said = self.parameters.get("offset", "0")
        return said.isdigit() and int(said) > 0

    @property
    def second(self) -> bool:
        """Whether it is the second page."""
        return self.limit <= self.offset < 2 * self.limit

    def count(self, *, of_all: bool = False) -> int:
        """How often it was called before for the fault: in this collection, or in all."""
        return self.server.count(self.fault, "" if of_all else self.kind)

    def shuffled(self, records: Sequence[Record], seed: int) -> list[Record]:
        """The records in an order that depends on the seed alone."""
        order = sorted(records, key=lambda record: record.sourced_id)
        random.Random(seed).shuffle(order)  # noqa: S311 - no secret
        return order
