"""Every rule of bytes, names and packages finds what it is there to find, and nothing else does.

Belongs here: one way to break each ``FILE-...`` and ``TR-PKG-...`` rule in a good transcript
package, and everything that is then found in the whole package.
"""

from __future__ import annotations

import codecs
import io
import zipfile
from collections.abc import Callable, Mapping
from functools import cache, partial

import polars as pl
import pytest

from ccgi_pipeline.feeds import file_rules
from ccgi_pipeline.feeds.rules import Rule, Severity
from ccgi_pipeline.feeds.spec import FeedSpec
from ccgi_pipeline.feeds.transcript import COURSE_CATALOG, MANIFEST, TEST_GRADE
from ccgi_pipeline.profiles import IntakeSettings, Profiles
from ccgi_pipeline.verification.gates import refuse_drops
from ccgi_pipeline.verification.outcomes import Verification
from ccgi_pipeline_tests.files import (
    Place,
    as_bytes,
    broken_rules,
    delivered,
    good_file,
    good_lines,
    good_set,
    usual_name,
    verified,
)

VICTIM = usual_name(TEST_GRADE)
"""The file that is damaged: nothing else in the package speaks of it."""
PACKAGE = "package.zip"

Sent = dict[str, bytes]


def _edited(edit: Callable[[list[bytes]], object]) -> Sent:
    """The package with the victim's physical lines (with their ends) changed by ``edit``."""
    lines = good_file(TEST_GRADE).splitlines(keepends=True)
    edit(lines)
    return _with(b"".join(lines))


def _with(content: bytes, name: str = VICTIM) -> Sent:
    return {**good_set("transcript"), name: content}


def _line(number: int, old: bytes, new: bytes) -> Sent:
    """The package with ``old`` replaced once in the victim's physical line ``number``."""

    def edit(lines: list[bytes]) -> None:
        assert old in lines[number - 1]
        lines[number - 1] = lines[number - 1].replace(old, new, 1)

    return _edited(edit)


def _in_catalog(column: str, cell: bytes) -> Sent:
    """The package with a cell of the catalog's physical line 4 replaced."""
    lines = good_lines(COURSE_CATALOG)
    lines[2] = {**lines[2], column: "<>"}
    content = as_bytes(COURSE_CATALOG, lines).replace(b"<>", cell)
    return _with(content, usual_name(COURSE_CATALOG))


def _with_header(feed: FeedSpec, *names: str) -> Sent:
    lines = [dict.fromkeys(names, "x") | line for line in good_lines(feed)]
    cells = [",".join(line[name] for name in names) for line in lines]
    return _with("\n".join([",".join(names), *cells, ""]).encode(), usual_name(feed))


def _zipped(add: Callable[[zipfile.ZipFile], object] = lambda _: None) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as package:
        for name, content in good_set("transcript").items():
            package.writestr(name, content)
        add(package)
    return packed.getvalue()


def _locked() -> bytes:
    """A zip whose last member says that it is encrypted."""
    content = bytearray(_zipped(lambda package: package.writestr("Secret.csv", b"x")))
    content[content.rindex(b"PK\x01\x02") + 8] |= 1
    content[content.rindex(b"PK\x03\x04") + 6] |= 1
    return bytes(content)


_LAST = 7
"""The victim's last physical line."""
Way = tuple[Callable[[], Sent | Verification], list[Place]]
"""What is sent (or, where no file can bring it about, the night itself), and all that is found."""


def _at(rule: str, line: int | None = None, column: str | None = None, name: str = VICTIM) -> Place:
    return (name, rule, line, column)


_CATALOG_NAME = usual_name(COURSE_CATALOG)
_OTHER_TITLES = as_bytes(
    COURSE_CATALOG, [{**line, "Subject": "Other"} for line in good_lines(COURSE_CATALOG)]
)
_COLUMNS = tuple(TEST_GRADE.columns)
_CATALOG = tuple(COURSE_CATALOG.columns)
_WAYS: Mapping[str, Way] = {
    "FILE-UNRECOGNISED": (
        lambda: _with(b"hello,world\n1,2\n", "Notes.csv"),
        [_at("FILE-UNRECOGNISED", name="Notes.csv")],
    ),
    "FILE-FAULT": (
        lambda: refuse_drops(delivered({VICTIM: good_file(TEST_GRADE)}, "transcript")),
        [_at("FILE-FAULT")],
    ),
    "FILE-EMPTY": (lambda: _with(b""), [_at("FILE-EMPTY")]),
    "FILE-HEADER-ONLY": (
        lambda: _with(",".join(_COLUMNS).encode() + b"\n"),
        [_at("FILE-HEADER-ONLY")],
    ),
    "FILE-HEADER": (lambda: _edited(lambda lines: lines.pop(0)), [_at("FILE-HEADER", 1)]),
    "FILE-COLUMN-MISSING": (
        lambda: _with_header(TEST_GRADE, *_COLUMNS[:-1]),
        [_at("FILE-COLUMN-MISSING", 1, _COLUMNS[-1])],
    ),
    "FILE-COLUMN-ABSENT": (
        lambda: _with_header(COURSE_CATALOG, *_CATALOG[:-1]),
        [_at("FILE-COLUMN-ABSENT", 1, _CATALOG[-1], usual_name(COURSE_CATALOG))],
    ),
    "FILE-COLUMN-UNKNOWN": (
        lambda: _with_header(TEST_GRADE, *_COLUMNS, "Colour"),
        [_at("FILE-COLUMN-UNKNOWN", 1)],
    ),
    "FILE-COLUMN-TWICE": (
        lambda: _with_header(TEST_GRADE, *_COLUMNS, _COLUMNS[1]),
        [_at("FILE-COLUMN-TWICE", 1, _COLUMNS[1])],
    ),
    "FILE-ENCODING": (lambda: _line(4, b"TestName", 99 * b"\x81\x01"), [_at("FILE-ENCODING")]),
    "FILE-OLD-ENCODING": (
        lambda: _line(4, b"TestName", "Español".encode("mac_roman")),
        [_at("FILE-OLD-ENCODING")],
    ),
    "FILE-MIXED-ENCODING": (
        lambda: _edited(
            lambda lines: lines.__setitem__(
                slice(3, 5),
                [
                    lines[3].replace(b"TestName", b"Espa\xf1ol"),
                    lines[4].replace(b"TestName", "Français".encode()),
                ],
            )
        ),
        [_at("FILE-MIXED-ENCODING", 4)],
    ),
    "FILE-SURROGATES": (
        lambda: _line(4, b"TestName", b"\xed\xa0\xbd\xed\xb8\x80"),
        [_at("FILE-SURROGATES", 4)],
    ),
    "FILE-LETTERS": (
        lambda: _in_catalog("Subject", b"Espa" + b"\xc3"),
        [_at("FILE-LETTERS", 4, "Subject", usual_name(COURSE_CATALOG))],
    ),
    **{
        f"FILE-{rule}": (
            partial(_in_catalog, "Subject", cell.encode()),
            [_at(f"FILE-{rule}", 4, "Subject", usual_name(COURSE_CATALOG))],
        )
        for rule, cell in {
            "LOST-LETTER": "Espa?ol",
            "ENCODED-TWICE": "EspaÃ±ol",
            "ENTITY": "Espa&ntilde;ol",
            "SPREADSHEET-ERROR": "#N/A",
            "POWER-OF-TEN": "1.2E+05",
            "NULL-WORD": "NULL",
        }.items()
    },
    "FILE-LITTER": (
        lambda: _edited(lambda lines: lines.append(b"(6 rows affected)\n")),
        [_at("FILE-LITTER", 8)],
    ),
    "FILE-TWICE": (
        lambda: _with(_OTHER_TITLES, f"Old_{_CATALOG_NAME}"),
        [
            _at("FILE-TWICE", name=_CATALOG_NAME),
            _at("FILE-TWICE", name=f"Old_{_CATALOG_NAME}"),
        ],
    ),
    "FILE-TWICE-OLDER": (
        lambda: {
            **{
                name: sent for name, sent in good_set("transcript").items() if "Catalog" not in name
            },
            "CourseCatalog_20261120_0800.csv": _OTHER_TITLES,
            "CourseCatalog_20261120_1100.csv": good_file(COURSE_CATALOG),
        },
        [
            _at("FILE-TWICE-OLDER", name="CourseCatalog_20261120_0800.csv"),
            _at("TR-MAN-FILE", 4, "FileName", usual_name(MANIFEST)),
        ],
    ),
    "FILE-TWICE-SAME": (
        lambda: _with(good_file(TEST_GRADE), f"Copy_{VICTIM}"),
        [_at("FILE-TWICE-SAME", name=f"Copy_{VICTIM}")],
    ),
    "FILE-TWICE-RECORDS": (
        lambda: _with(
            as_bytes(
                COURSE_CATALOG,
                [
                    {**line, "Subject": "Other", "CourseNumber": number or line["CourseNumber"]}
                    for line, number in zip(
                        good_lines(COURSE_CATALOG), ["", "91", "92", "93", "94", "95"], strict=True
                    )
                ],
            ),
            f"Other_{_CATALOG_NAME}",
        ),
        [
            _at("FILE-TWICE-RECORDS", name=_CATALOG_NAME),
            _at("FILE-TWICE-RECORDS", name=f"Other_{_CATALOG_NAME}"),
        ],
    ),
    "FILE-CP1252": (lambda: _line(4, b"TestName", b"Espa\xf1ol"), [_at("FILE-CP1252")]),
    "FILE-UTF16": (
        lambda: _with(good_file(TEST_GRADE).decode().encode("utf-16-le")),
        [_at("FILE-UTF16")],
    ),
    "FILE-BOM": (lambda: _with(codecs.BOM_UTF8 + good_file(TEST_GRADE)), [_at("FILE-BOM")]),
    "FILE-LINE-ENDS": (lambda: _line(4, b"\n", b"\r\n"), [_at("FILE-LINE-ENDS")]),
    "FILE-BLANK-LINES": (
        lambda: _edited(lambda lines: lines.insert(3, b"\n")),
        [_at("FILE-BLANK-LINES", 4)],
    ),
    "FILE-NUL": (lambda: _line(4, b"TestName", b"Test\x00Name"), [_at("FILE-NUL", 4)]),
    "FILE-FIELDS": (lambda: _line(4, b",", b""), [_at("FILE-FIELDS", 4)]),
    "FILE-TRUNCATED": (
        lambda: _with(good_file(TEST_GRADE)[:-13]),
        [_at("FILE-TRUNCATED", _LAST)],
    ),
    "FILE-EXTRA-CELLS": (lambda: _line(1, b"\n", b",\n"), [_at("FILE-EXTRA-CELLS", 1)]),
    "FILE-QUOTES": (lambda: _line(4, b"TestName", b'Test"Name'), [_at("FILE-QUOTES", 4)]),
    "FILE-LINE-BREAK": (
        lambda: _line(4, b"TestName 2", b'"Test\nName"'),
        [_at("FILE-LINE-BREAK", 4)],
    ),
    "FILE-REPEATED-HEADER": (
        lambda: _edited(lambda lines: lines.insert(3, lines[0])),
        [_at("FILE-REPEATED-HEADER", 4)],
    ),
    "FILE-ZIP-BROKEN": (
        lambda: {PACKAGE: _zipped()[:-30]},
        [_at("FILE-ZIP-BROKEN", name=PACKAGE)],
    ),
    "FILE-ZIP-NAME": (
        lambda: {PACKAGE: _zipped(lambda package: package.writestr("../up.csv", b"x"))},
        [_at("FILE-ZIP-NAME", name="up.csv")],
    ),
    "FILE-ZIP-NESTED": (
        lambda: {PACKAGE: _zipped(lambda package: package.writestr("inner.zip", _zipped()))},
        [_at("FILE-ZIP-NESTED", name="inner.zip")],
    ),
    "FILE-ZIP-TOO-LARGE": (
        lambda: {PACKAGE: _zipped(lambda package: package.writestr("big.csv", bytes(1 << 25)))},
        [_at("FILE-ZIP-TOO-LARGE", name="big.csv")],
    ),
    "FILE-TOO-LARGE": (
        lambda: verified(
            good_set("transcript"),
            "transcript",
            profiles=Profiles(intake=IntakeSettings(largest_drop_mb=0.001)),
        ),
        [_at("FILE-TOO-LARGE", name=name) for name in good_set("transcript")],
    ),
    "FILE-ZIP-ENCRYPTED": (
        lambda: {PACKAGE: _locked()},
        [_at("FILE-ZIP-ENCRYPTED", name="Secret.csv")],
    ),
    "FILE-CORRECTION": (
        lambda: _with(good_file(TEST_GRADE, 1), f"corrections/{VICTIM}"),
        [_at("FILE-CORRECTION")],
    ),
    "TR-PKG-MANIFEST": (
        lambda: {name: sent for name, sent in good_set("transcript").items() if "Man" not in name},
        [_at("TR-PKG-MANIFEST", name=usual_name(COURSE_CATALOG))],
    ),
    "TR-PKG-ROSTER": (
        lambda: {
            usual_name(COURSE_CATALOG): good_file(COURSE_CATALOG),
            usual_name(MANIFEST): as_bytes(MANIFEST, good_lines(MANIFEST)[2::2]),
        },
        [_at("TR-PKG-ROSTER", name=usual_name(COURSE_CATALOG))],
    ),
}
"""For each rule the files that break it, and all that is found in them."""


OF_LOADING = {file_rules.HELD.id, file_rules.KEPT.id}
"""Rules that speak of a drop when it is loaded, not of its bytes: tested with the warehouse."""
OF_FILES_WITHOUT_QUOTES = {file_rules.QUOTED_CELLS.id, file_rules.SOME_QUOTED_CELLS.id}
"""Rules of files that no transcript package has: tested in intake/test_reader.py."""
OF_MESSAGES = {rule.id for rule in file_rules.FILE_RULES if rule.id.startswith("FILE-PGP-")}
"""Rules of encrypted files: tested with GnuPG in intake/test_openpgp_messages.py."""
_RULES = [
    rule
    for rule in file_rules.FILE_RULES
    if rule.id not in OF_LOADING | OF_FILES_WITHOUT_QUOTES | OF_MESSAGES
]


@cache
def _night(rule_id: str) -> Verification:
    sent = _WAYS[rule_id][0]()
    return sent if isinstance(sent, Verification) else verified(sent, "transcript")


@pytest.mark.parametrize("rule", _RULES, ids=lambda rule: rule.id)
def test_a_damaged_package_is_found_by_its_rule_and_by_no_other(rule: Rule):
    _, expected = _WAYS[rule.id]
    assert rule.id in [place[1] for place in expected]
    assert sorted(broken_rules(_night(rule.id)), key=str) == sorted(expected, key=str)


@pytest.mark.parametrize("rule", _RULES, ids=lambda rule: rule.id)
def test_damage_of_one_file_leaves_the_rest_of_the_package_accepted(rule: Rule):
    _, expected = _WAYS[rule.id]
    files = _night(rule.id).files
    damaged = [name for name, *_ in expected]
    others = files.filter(~pl.col("path").str.split("/").list.last().is_in(damaged))
    assert set(others.select("verdict", "rejected").iter_rows()) <= {("accepted", 0)}
    fates = files["accepted"] + files["rejected"] + files["left_alone"]
    assert fates.to_list() == files["lines"].to_list()


@pytest.mark.parametrize(
    "rule",
    [rule for rule in _RULES if rule.severity is not Severity.ERROR],
    ids=lambda rule: rule.id,
)
def test_a_file_rule_that_is_no_error_costs_no_line(rule: Rule):
    assert _night(rule.id).files["rejected"].sum() == 0


def test_every_file_rule_has_a_way_to_break_it():
    assert sorted(_WAYS) == sorted(rule.id for rule in _RULES)
