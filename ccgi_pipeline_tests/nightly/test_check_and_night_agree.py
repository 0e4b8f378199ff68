"""``ccgi check`` and the night give one answer: the same verdict, the same findings, line by line.

Belongs here: a corpus of good and damaged deliveries, each judged twice: by the night, in the
company of all others, and offline, alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ccgi_pipeline.feeds.registry import FAMILIES, FEEDS_BY_NAME
from ccgi_pipeline.feeds.spec import FeedSpec
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.verification import offline_check
from ccgi_pipeline.verification.receipts import describe_file
from ccgi_pipeline_tests.files import as_bytes, good_file, good_lines, good_set, usual_name
from ccgi_pipeline_tests.nightly import damage
from ccgi_pipeline_tests.nightly.damage import Change
from ccgi_pipeline_tests.nightly.inboxes import (
    HAYWARD,
    HAYWARD_HIGH,
    course,
    put,
    roster_file,
    students,
)
from ccgi_pipeline_tests.nightly.nights import ON, folders_in, lake_rows, load_and_answer

_DAMAGES: Mapping[str, Change] = {
    "good": damage.same,
    "garbage": damage.garbage,
    "last line cut": damage.cut_in_the_last_line,
    "header cut": damage.cut_in_the_header,
    "zeros": damage.zeros,
    "a zero": damage.nul_in_line_3,
    "no header": damage.without_header,
    "title": damage.header_of_words,
    "column missing": damage.without_first_column,
    "column twice": damage.first_column_twice,
    "short line": damage.line_3_short,
    "stray quote": damage.quote_in_line_3,
    "line twice": damage.line_3_twice,
    "header again": damage.header_again,
    "empty": damage.empty,
    "header alone": damage.header_alone,
    "blank lines": damage.blank_lines,
    "utf-16": damage.utf_16,
    "utf-8 with mark": damage.utf_8_with_mark,
    "windows text": damage.windows_text,
    "carriage returns": damage.carriage_returns,
    "carets": damage.carets,
}
_DAMAGED_FEEDS = ("transcript_student", "transcript_course_grade", "platform_favorites")


@dataclass(frozen=True)
class Delivery:
    """Files by path below the sender's folder."""

    files: Mapping[str, bytes]


def _roster(sender: str, *, name: str = "StudentTemplate.csv") -> dict[str, bytes]:
    return {name: roster_file(students(["1111111111", "2222222222"], f"{sender}1234567"))}


def _file_of(feed: FeedSpec, sender: str) -> bytes:
    """A good file of six lines, of this sender's own schools where it speaks of schools."""
    school = f"{sender[:7]}1234567"
    lines = good_lines(feed)
    for line in lines:
        for column in {"PrimaryCDSCode", "CDSCode"} & set(line):
            line[column] = school
    return as_bytes(feed, lines)


def _corpus() -> dict[str, Delivery]:
    corpus: dict[str, Delivery] = {}
    senders = (f"97{number:05d}" for number in range(10_000))
    for feed in (FEEDS_BY_NAME[name] for name in _DAMAGED_FEEDS):
        statewide = feed.family == "platform"
        for name, change in _DAMAGES.items():
            sender = "platform" if statewide else next(senders)
            where = f"{sender}/{feed.name}/{name}" if statewide else f"{sender}/{feed.family}"
            content = change(_file_of(feed, sender))
            corpus[f"{feed.name}: {name}"] = Delivery({f"{where}/{usual_name(feed)}": content})
    for feed in (feed for feed in FAMILIES["platform"].feeds if feed.name not in _DAMAGED_FEEDS):
        corpus[f"{feed.name} alone"] = Delivery(
            {f"platform/{feed.name}/alone/{usual_name(feed)}": good_file(feed)}
        )
    corpus |= _packages(next(senders), next(senders), next(senders))
    corpus |= _odd_places(*(next(senders) for _ in range(8)))
    return corpus


def _packages(plain: str, in_a_zip: str, incomplete: str) -> dict[str, Delivery]:
    whole = good_set("transcript")
    school = f"{incomplete}1234567"
    strangers = as_bytes(FEEDS_BY_NAME["transcript_course_grade"], [course("1111111111", school)])
    return {
        "a package of other districts' students": Delivery(
            {f"{plain}/transcript/{name}": content for name, content in whole.items()}
        ),
        "a package in a zip": Delivery(
            {
                f"{in_a_zip}/transcript/package.zip": damage.zipped(
                    _roster(in_a_zip)["StudentTemplate.csv"], "StudentTemplate.csv"
                )
            }
        ),
        "courses of students who are in no roster": Delivery(
            {f"{incomplete}/transcript/CourseGradeTemplate.csv": strangers}
        ),
    }


def _odd_places(*senders: str) -> dict[str, Delivery]:
    known, header, letter, zip_, activity, deep, listed, other = senders
    return {
        "a roster outside its family's folder": Delivery(
            {f"{known}/{name}": content for name, content in _roster(known).items()}
        ),
        "a roster under a name of no meaning": Delivery(
            {f"{header}/{name}": c for name, c in _roster(header, name="export.dat").items()}
        ),
        "a letter": Delivery({f"{letter}/letter.txt": b"Dear CCGI,\nsee you soon.\n"}),
        "a roster in a zip outside its family's folder": Delivery(
            {
                f"{zip_}/package.zip": damage.zipped(
                    _roster(zip_)["StudentTemplate.csv"], "StudentTemplate.csv"
                )
            }
        ),
        "an activity file of a district": Delivery(
            {f"{activity}/favorites.csv": good_file(FEEDS_BY_NAME["platform_favorites"])}
        ),
        "a roster in a folder of a folder": Delivery(
            {f"{deep}/Transcript/2026/Fall/{n}": c for n, c in _roster(deep).items()}
        ),
        "a school that the directory does not list": Delivery(
            {
                f"{HAYWARD}/transcript/StudentTemplate.csv": roster_file(
                    [*students([listed], f"{HAYWARD}9999999"), *students([other], HAYWARD_HIGH)]
                )
            }
        ),
    }


_CORPUS = _corpus()


@dataclass(frozen=True)
class Judged:
    """The inbox, and what the night answered for each path of it."""

    folders: PipelinePaths
    answers: Mapping[str, dict[str, Any]]
    verdict_of_drop: Mapping[str, str]


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Judged:
    """The whole corpus, taken in one night."""
    folders = folders_in(tmp_path_factory.mktemp("corpus"))
    for delivery in _CORPUS.values():
        for path, content in delivery.files.items():
            put(folders.inbox, path, content)
    load_and_answer(folders, ON)
    answers: dict[str, dict[str, Any]] = {}
    verdicts: dict[str, str] = {}
    for path in folders.outbox.glob("*/_receipts/*.json"):
        receipt = json.loads(path.read_bytes())
        for file in receipt["files"]:
            answers[file["path"]] = file
            verdicts[file["path"]] = receipt["verdict"]
    return Judged(folders, answers, verdicts)


def _checked(judged: Judged, name: str) -> offline_check.CheckResult:
    """The delivery as its sender checks it before sending: the folder that holds it."""
    inbox = judged.folders.inbox
    return offline_check.check([inbox / path for path in _CORPUS[name].files], ON)


_KNOWN_AFTER_LOADING = {"no_longer_active", "kept_active", "kept_active_since"}


def _told(file: dict[str, Any], inbox: Path) -> dict[str, Any]:
    """What both must say of a file: everything but what became of good lines and of records."""
    path = Path(file["path"])
    return {
        **{name: told for name, told in file.items() if name not in _KNOWN_AFTER_LOADING},
        "path": (path.relative_to(inbox) if path.is_absolute() else path).as_posix(),
        "fates": {"rejected": file["fates"].get("rejected", 0)},
    }


@pytest.mark.parametrize("name", _CORPUS)
def test_the_findings_are_the_same(judged: Judged, name: str):
    inbox = judged.folders.inbox
    offline = [_told(describe_file(file), inbox) for file in _checked(judged, name).files]
    assert offline == [_told(judged.answers[file["path"]], inbox) for file in offline]


@pytest.mark.parametrize("name", _CORPUS)
def test_the_verdict_is_the_same(judged: Judged, name: str):
    checked = _checked(judged, name)
    answered = {
        judged.verdict_of_drop[Path(file.path).relative_to(judged.folders.inbox).as_posix()]
        for file in checked.files
    }
    assert answered == {checked.verdict}


@pytest.mark.parametrize("name", _CORPUS)
def test_a_check_promises_what_the_night_then_loads(judged: Judged, name: str):
    checked = _checked(judged, name)
    lost = sum(
        judged.answers[Path(file.path).relative_to(judged.folders.inbox).as_posix()]["fates"].get(
            "rejected", 0
        )
        for file in checked.files
    )
    refused = any(file.verdict == "rejected" for file in checked.files)
    assert checked.everything_loads == (not lost and not refused)


def test_the_corpus_has_many_files_of_every_verdict(judged: Judged):
    verdicts = [file["verdict"] for file in judged.answers.values()]
    assert len(verdicts) > 80
    assert (
        min(
            verdicts.count(verdict)
            for verdict in ("accepted", "accepted_with_findings", "rejected")
        )
        > 10
    )


def test_the_night_noted_every_file_of_the_corpus(judged: Judged):
    paths = {path for delivery in _CORPUS.values() for path in delivery.files}
    noted = {row[0] for row in lake_rows(judged.folders.warehouse)["received_files"]}
    assert noted == paths
