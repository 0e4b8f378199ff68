"""The twenty-five defects of real OneRoster drops, and the dirt of the packages that are public.

Belongs here: each defect (numbered as in the project's reference on OneRoster, section 5) done to a
good set of version 1.1, all that is told of it, and what is accepted: the very cells that were
sent, but for those that were understood otherwise. What half a file would end is judged at loading
and tested there. Does not belong here: modes, versions and whole sets (test_oneroster_sets).
"""

from __future__ import annotations

import codecs
import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

import pytest

from ccgi_pipeline.feeds.registry import RULES
from ccgi_pipeline.verification.outcomes import Verification
from ccgi_pipeline_tests.files import LINES, as_bytes, outcome, zipped
from ccgi_pipeline_tests.oneroster import Line, manifest_lines
from ccgi_pipeline_tests.oneroster_sets import (
    FILES_OF,
    STRICT,
    Sent,
    Told,
    accounted_for,
    beside,
    cells_of,
    changes,
    feed_of,
    file_of,
    header_of,
    judged,
    knowing,
    lines_of,
    manifest,
    profile,
    roster,
    sent_cells,
    told,
    with_cells,
)

HURT = 6
"""The physical line that is damaged; no other line speaks of it."""
EVERY = tuple(range(2, LINES + 2))
_ACTIVE = {number: {"status": "active"} for number in EVERY}
Place = tuple[str, str, int | None, str | None]
"""Rule, severity, line, column."""


@dataclass(frozen=True)
class Case:
    """A set with one defect in the file ``name``, and what is made of it.

    ``found`` is all that is told of the file, ``elsewhere`` of others; ``lost`` are the lines that
    are refused; ``cells`` those of accepted lines that read otherwise than good ones; ``moved`` by
    how many physical lines a line stands lower than in the good file, ``lines`` how many there are
    in all.
    """

    defect: int
    about: str
    name: str
    sent: Sent
    found: Sequence[Place] = ()
    elsewhere: Sequence[Told] = ()
    lost: Sequence[int] = ()
    cells: Mapping[int, Line] = field(default_factory=dict)
    moved: Mapping[int, int] = field(default_factory=dict)
    lines: int = LINES
    header: Sequence[str] = ()

    def __str__(self) -> str:
        return f"{self.defect}: {self.about}"

    @property
    def expected(self) -> dict[int, Line]:
        """The accepted lines by physical number."""
        good = sent_cells(self.name, lines_of(self.name), self.header or header_of(self.name))
        return {
            number + self.moved.get(number, 0): {**line, **self.cells.get(number, {})}
            for number, line in good.items()
            if number not in self.lost
        }


def _set(name: str, content: bytes | Sequence[Line], *more: str, **others: Sequence[Line]) -> Sent:
    """A good set in which ``name`` is another file; what does not matter to it is not there."""
    return roster(without=beside(name, *more, *others), **{name: content, **others})


def _edited(name: str, number: int, change: Callable[[bytes], bytes], **form: int) -> bytes:
    lines = as_bytes(feed_of(name), lines_of(name), header=header_of(name), **form)
    physical = lines.splitlines(keepends=True)
    physical[number - 1] = change(physical[number - 1])
    return b"".join(physical)


def _replaced(name: str, number: int, old: bytes, new: bytes) -> bytes:
    def change(line: bytes) -> bytes:
        assert old in line
        return line.replace(old, new, 1)

    return _edited(name, number, change)


def _good(name: str) -> bytes:
    return file_of(name, lines_of(name))


def _with_header(name: str, changed: Mapping[str, str]) -> bytes:
    """The good file with some names of its header spelled otherwise."""
    header, rest = _good(name).split(b"\n", 1)
    names = [changed.get(cell, cell) for cell in header.decode().split(",")]
    return ",".join(names).encode() + b"\n" + rest


def _with_last_column(name: str, column: str) -> bytes:
    """The good file with one more column at its end, filled in every line."""
    header, *lines = _good(name).decode().splitlines()
    return "".join(
        f"{line}\n" for line in (f"{header},{column}", *(f"{x},x" for x in lines))
    ).encode()


def _in_order(name: str, header: Sequence[str]) -> bytes:
    return file_of(name, lines_of(name), header=header)


def _cells(
    defect: int, about: str, name: str, cells: Line, *found: Place, lost: bool = False, **read: str
) -> Case:
    """A defect of cells in the hurt line; ``read`` are those that are read otherwise."""
    return Case(
        defect,
        about,
        name,
        _set(name, with_cells(name, {HURT: cells})),
        found,
        lost=(HURT,) if lost else (),
        cells={HURT: {**cells, **read}},
    )


def _error(rule: str, column: str | None = None, line: int | None = HURT) -> Place:
    return (rule, "error", line, column)


def _warning(rule: str, column: str | None = None, line: int | None = HURT) -> Place:
    return (rule, "warning", line, column)


def _info(rule: str, line: int | None = None) -> Place:
    return (rule, "info", line, None)


def _without(name: str, *columns: str) -> list[str]:
    return [column for column in header_of(name) if column not in columns]


def _with_1_0_names() -> Case:
    names = {"userIds": "userId", "agentSourcedIds": "agents"}
    found = [_warning("OR-HEADER-1.0", column, 1) for column in names]
    return Case(
        15, "1.0 headers of users", "users", _set("users", _with_header("users", names)), found
    )


def _with_1_0_names_of_classes() -> Case:
    names = {"grades": "grade", "termSourcedIds": "termSourcedId"}
    found = [_warning("OR-HEADER-1.0", column, 1) for column in names]
    content = _with_header("classes", names)
    return Case(15, "1.0 headers of classes", "classes", _set("classes", content), found)


_MODES: Mapping[str, tuple[Mapping[str, str], Sequence[Told]]] = {
    "a manifest.version of 1": (
        {"manifest.version": "1"},
        [("manifest.csv", "OR-MAN-VALUE", "warning", 3, "value")],
    ),
    "a manifest.version with a blank": ({"manifest.version": " 1.0"}, []),
    "a blank mode": (
        {"file.orgs": ""},
        [("manifest.csv", "OR-MAN-VALUE", "warning", 20, "value")],
    ),
    "a mode in capitals": (
        {"file.orgs": "BULK"},
        [("manifest.csv", "OR-MAN-VALUE", "warning", 20, "value")],
    ),
    "a file that is absent and there": (
        {"file.orgs": "absent"},
        [("manifest.csv", "OR-PKG-UNDECLARED", "warning", 20, None)],
    ),
    "a file that is declared and not there": (
        {"file.roles": "bulk"},
        [("manifest.csv", "OR-PKG-ABSENT", "warning", 21, None)],
    ),
}
"""Values of the manifest by property, and what is told."""


def _manifests() -> list[Case]:
    cases = []
    for about, (values, elsewhere) in _MODES.items():
        lines = manifest_lines(version="1.1", present=["orgs"])
        lines = [{**x, "value": values.get(x["propertyName"], x["value"])} for x in lines]
        sent = {"manifest.csv": as_bytes(feed_of("manifest"), lines), "orgs.csv": _good("orgs")}
        cases.append(Case(17, about, "orgs", sent, elsewhere=elsewhere))
    lines = manifest_lines(version="1.1", present=["orgs"])
    misspelt = [{**x, "propertyName": x["propertyName"].replace("file.o", "fiel.o")} for x in lines]
    spelled = {"manifest.csv": as_bytes(feed_of("manifest"), misspelt), "orgs.csv": _good("orgs")}
    found: list[Told] = [
        ("manifest.csv", "OR-MAN-PROPERTY", "warning", 20, "propertyName"),
        ("manifest.csv", "OR-PKG-UNDECLARED", "warning", None, None),
    ]
    cases.append(Case(17, "a misspelt property", "orgs", spelled, elsewhere=found))
    without: list[Place] = [
        _info("OR-PKG-FILE") for name in FILES_OF["1.1"] if name not in {"orgs", "demographics"}
    ]
    sent = {"orgs.csv": _good("orgs")}
    cases.append(Case(17, "no manifest", "orgs", sent, [*without, _info("OR-PKG-MANIFEST")]))
    return cases


CASES = [
    # 1: an unquoted comma
    Case(
        1,
        "an unquoted comma in a name",
        "enrollments",
        _set("enrollments", _replaced("enrollments", HURT, b"student", b"student, III")),
        [_error("FILE-FIELDS")],
        lost=(HURT,),
    ),
    Case(
        1,
        "an unquoted comma in a name, and a blank last cell",
        "users",
        _set("users", _replaced("users", HURT, b"givenName 4", b"John, III")),
        [_error("FILE-FIELDS")],
        lost=(HURT,),
    ),
    Case(
        1,
        "an unquoted comma in an organization's name, and blank last cells",
        "orgs",
        _set("orgs", _replaced("orgs", HURT, b"School 4,school,062958004523,",
                                b"North, School,school,,")),
        [_error("FILE-FIELDS")],
        lost=(HURT,),
    ),
    # 2: trailing commas
    Case(
        2,
        "a trailing comma",
        "users",
        _set("users", _edited("users", HURT, lambda line: line[:-1] + b",\n")),
        [_error("FILE-FIELDS")],
        lost=(HURT,),
    ),
    Case(
        2,
        "several trailing commas",
        "orgs",
        _set("orgs", _edited("orgs", HURT, lambda line: line[:-1] + b",,,\n")),
        [_error("FILE-FIELDS")],
        lost=(HURT,),
    ),
    Case(
        2,
        "a trailing comma after quoted cells",
        "classes",
        _set("classes", _edited("classes", HURT, lambda line: line[:-1] + b",\n")),
        [_error("FILE-FIELDS")],
        lost=(HURT,),
    ),
    # 3: a short row
    Case(
        3,
        "a short row",
        "users",
        _set("users", _edited("users", HURT, lambda line: line.rsplit(b",", 1)[0] + b"\n")),
        [_error("FILE-FIELDS")],
        lost=(HURT,),
    ),
    # 4: trailing blank lines
    Case(
        4,
        "trailing blank lines",
        "orgs",
        _set("orgs", _good("orgs") + b"\n\n  \n"),
        [_info("FILE-BLANK-LINES", LINES + 2)],
    ),
    # 5 to 9: encodings and line ends
    Case(5, "a byte order mark", "users", _set("users", codecs.BOM_UTF8 + _good("users")),
         [_info("FILE-BOM")]),
    Case(
        6,
        "Windows text",
        "users",
        _set("users", _replaced("users", HURT, b"Surname4", b"N\xfa\xf1ez")),
        [_warning("FILE-CP1252", line=None)],
        cells={HURT: {"familyName": "Núñez"}},
    ),
    Case(
        7,
        "UTF-16",
        "users",
        _set("users", codecs.BOM_UTF16_LE + _good("users").decode().encode("utf-16-le")),
        [_info("FILE-BOM"), _warning("FILE-UTF16", line=None)],
    ),
    Case(
        8,
        "carriage returns only",
        "users",
        _set("users", _good("users").replace(b"\n", b"\r")),
        [_info("FILE-LINE-ENDS")],
    ),
    Case(9, "CRLF", "users", _set("users", _good("users").replace(b"\n", b"\r\n"))),
    # 10: a line break in a cell
    Case(
        10,
        "a line break inside a quoted cell",
        "users",
        _set("users", with_cells("users", {HURT: {"middleName": "Maria\nLuz"}})),
        [_warning("FILE-LINE-BREAK")],
        cells={HURT: {"middleName": "Maria Luz"}},
        moved={7: 1},
        lines=LINES + 1,
    ),
    # 11: other delimiters
    *(
        Case(
            11,
            about,
            "classes",
            _set(
                "classes",
                as_bytes(
                    feed_of("classes"),
                    lines_of("classes"),
                    separator=mark,
                    header=header_of("classes"),
                ),
            ),
            [_warning("OR-HEADER-SEPARATOR", None, 1)],
        )
        for about, mark in (("semicolons", ";"), ("tabs", "\t"))
    ),
    # 12: the header's letters
    Case(
        12,
        "a header in capitals",
        "orgs",
        _set("orgs", _with_header("orgs", {name: name.upper() for name in header_of("orgs")})),
        [_warning("OR-HEADER-CASE", name, 1) for name in header_of("orgs")],
    ),
    Case(
        12,
        "a column's name in another case",
        "courses",
        _set("courses", _with_header("courses", {"subjectCodes": "SubjectCodes"})),
        [_warning("OR-HEADER-CASE", "subjectCodes", 1)],
    ),
    Case(
        12,
        "a misspelt name",
        "orgs",
        _set("orgs", _with_header("orgs", {"dateLastModified": "dataLastModified"})),
        [
            _warning("OR-HEADER-ABSENT", "dateLastModified", 1),
            _warning("OR-HEADER-UNKNOWN", None, 1),
        ],
        header=_without("orgs", "dateLastModified"),
    ),
    Case(
        12,
        "another order",
        "users",
        _set("users", _in_order("users", list(reversed(header_of("users"))))),
        [_warning("OR-HEADER-ORDER", None, 1)],
    ),
    Case(
        12,
        "columns of the sender's own",
        "orgs",
        _set("orgs", _with_last_column("orgs", "metadata.code")),
    ),
    # 13: missing columns
    Case(
        13,
        "missing optional columns",
        "users",
        _set("users", _in_order("users", _without("users", "sms", "password"))),
        [_warning("OR-HEADER-ABSENT", column, 1) for column in ("password", "sms")],
        header=_without("users", "sms", "password"),
    ),
    Case(
        13,
        "no status and time in bulk",
        "classes",
        _set("classes", _in_order("classes", _without("classes", "status", "dateLastModified"))),
        [_warning("OR-HEADER-ABSENT", column, 1) for column in ("dateLastModified", "status")],
        header=_without("classes", "status", "dateLastModified"),
    ),
    Case(
        13,
        "a missing required column",
        "classes",
        _set("classes", _in_order("classes", _without("classes", "title"))),
        [_error("FILE-COLUMN-MISSING", "title", 1)],
        lost=EVERY,
    ),
    # 14: blank or repeated header cells
    Case(
        14,
        "blank cells in the header",
        "orgs",
        _set("orgs", _good("orgs").replace(b"\n", b",,\n")),
        [_warning("OR-HEADER-UNKNOWN", None, 1), _warning("OR-HEADER-UNKNOWN", None, 1)],
    ),
    Case(
        14,
        "a column twice",
        "orgs",
        _set("orgs", _with_last_column("orgs", "name")),
        [_error("FILE-COLUMN-TWICE", "name", 1), _warning("OR-HEADER-ORDER", None, 1)],
        lost=EVERY,
    ),
    # 15: headers of 1.0
    _with_1_0_names(),
    _with_1_0_names_of_classes(),
    # 17: manifests
    *_manifests(),
    # 18: status filled in bulk
    Case(
        18,
        "a status of active in bulk",
        "users",
        _set("users", with_cells("users", _ACTIVE)),
        [_warning("OR-USR-BULK-status", "status", line) for line in EVERY],
        cells=_ACTIVE,
    ),
    _cells(
        18,
        "tobedeleted in bulk",
        "enrollments",
        {"status": "tobedeleted"},
        _warning("OR-ENR-BULK-GONE", "status"),
        _warning("OR-ENR-BULK-status", "status"),
    ),
    # 20: values in other words
    *(
        _cells(20, f"{column} {cell}", name, {column: cell}, _warning(rule, column),
               **{column: read})
        for name, column, cell, read, rule in (
            ("users", "enabledUser", "TRUE", "true", "OR-USR-FORM-enabledUser"),
            ("users", "enabledUser", "Yes", "true", "OR-USR-FORM-enabledUser"),
            ("users", "enabledUser", "0", "false", "OR-USR-FORM-enabledUser"),
            ("users", "role", "Teacher", "teacher", "OR-USR-FORM-role"),
            ("classes", "classType", "Scheduled", "scheduled", "OR-CLS-FORM-classType"),
            ("orgs", "type", "School", "school", "OR-ORG-FORM-type"),
            ("academicSessions", "type", "GradingPeriod", "gradingPeriod", "OR-SES-FORM-type"),
            ("academicSessions", "type", "School Year", "schoolYear", "OR-SES-FORM-type"),
        )
    ),
    _cells(20, "an unknown word", "classes", {"classType": "weekly"},
           _error("OR-CLS-CODE-classType", "classType"), lost=True),
    # 21: roles outside the list
    _cells(21, "principal in users", "users", {"role": "principal"},
           _error("OR-USR-CODE-role", "role"), lost=True),
    _cells(21, "aide in enrollments", "enrollments", {"role": "aide"},
           _error("OR-ENR-CODE-role", "role"), lost=True),
    _cells(21, "School Data Sync's professor", "enrollments", {"role": "professor"},
           _error("OR-ENR-CODE-role", "role"), lost=True),
    # 22: grades
    *(
        _cells(22, f"grade {cell}", "users", {"grades": cell},
               _warning("OR-USR-FORM-grades", "grades"), grades=read)
        for cell, read in (("5", "05"), ("K", "KG"), ("9", "09"))
    ),
    _cells(22, "grade AE", "users", {"grades": "AE"}, _warning("OR-USR-CODE-grades", "grades")),
    # 23: dates
    *(
        _cells(23, f"startDate {cell}", "academicSessions", {"startDate": cell},
               _error("OR-SES-TYPE-startDate", "startDate"), lost=True)
        for cell in ("8/27/2018", "1/05/2023", "2017-05-06 08:01:05", "20260817", "2026-02-30")
    ),
    _cells(23, "a span of years", "academicSessions", {"schoolYear": "2026-2027"},
           _error("OR-SES-TYPE-schoolYear", "schoolYear"), lost=True),
    _cells(23, "an end before the begin", "academicSessions", {"endDate": "2025-01-01"},
           _error("OR-SES-DATES", "endDate"), lost=True),
    _cells(23, "an end that is the begin", "academicSessions", {"endDate": "2026-08-01"},
           _error("OR-SES-DATES", "endDate"), lost=True),
    _cells(23, "an enrollment that ends before it begins", "enrollments", {"endDate": "2026-08-16"},
           _error("OR-ENR-DATES", "endDate"), lost=True),
    _cells(23, "a date that may be blank", "enrollments", {"beginDate": "8/27/2026"},
           _error("OR-ENR-TYPE-beginDate", "beginDate"), lost=True),
    # 24: references
    _cells(24, "a class that is nowhere", "enrollments", {"classSourcedId": "nowhere"},
           _error("OR-ENR-REF-classSourcedId", "classSourcedId"), lost=True),
    _cells(24, "one of several terms that is nowhere", "classes",
           {"termSourcedIds": "academicSessions-0,nowhere"},
           _error("OR-CLS-REF-termSourcedIds", "termSourcedIds"), lost=True),
    _cells(24, "a parent that is nowhere", "orgs", {"parentSourcedId": "nowhere"},
           _warning("OR-ORG-REF-parentSourcedId", "parentSourcedId")),
    # 25: ids
    _cells(25, "an id twice", "users", {"sourcedId": "users-0"},
           _error("OR-USR-UNIQUE", "sourcedId"), lost=True),
    _cells(25, "one person with two ids for two roles", "users", {"username": "user3"}),
]  # fmt: skip


@cache
def _verified(number: int) -> Verification:
    return judged(CASES[number].sent)


_BY_NAME = pytest.mark.parametrize("number", range(len(CASES)), ids=[str(case) for case in CASES])


@_BY_NAME
def test_a_defect_is_told_at_its_place_and_nothing_else_is(number: int):
    case = CASES[number]
    found = [(f"{case.name}.csv", *place) for place in case.found]
    assert told(_verified(number)) == sorted([*found, *case.elsewhere], key=str)


@_BY_NAME
def test_no_line_of_a_defective_file_is_lost_or_padded_and_no_cell_moves(number: int):
    case, verification = CASES[number], _verified(number)
    file = outcome(verification, f"{case.name}.csv")
    assert accounted_for(verification)
    assert file["lines"] == case.lines
    assert file["rejected"] == len(case.lost)
    accepted = cells_of(verification, case.name) if file["accepted"] else {}
    assert accepted == case.expected


def test_every_defect_of_single_files_is_here():
    of_sets = {16, 19}
    assert {case.defect for case in CASES} | of_sets == set(range(1, 26))


# --- defects that need another set ----------------------------------------------------------------


@pytest.mark.parametrize("name", ["Orgs.csv", "ORGS.CSV", "orgs.txt", "District_orgs.csv"])
def test_16_a_file_of_another_name_is_understood(name: str):
    sent = {"manifest.csv": manifest(present=["orgs"]), name: _good("orgs")}
    verification = judged(sent)
    assert told(verification) == [(name, "OR-PKG-NAME", "warning", None, None)]
    assert cells_of(verification, "orgs") == sent_cells("orgs", lines_of("orgs"), header_of("orgs"))


def test_16_the_case_of_a_file_of_version_1_2_is_understood():
    sent = roster("1.2")
    sent["userprofiles.csv"] = sent.pop("userProfiles.csv")
    assert told(judged(sent)) == [("userprofiles.csv", "OR-PKG-NAME", "warning", None, None)]


def test_16_dates_in_all_names_are_understood():
    sent = roster(without=beside("orgs"))
    dated = {name.replace(".csv", "_20261120.csv"): content for name, content in sent.items()}
    verification = judged(dated)
    assert set(verification.files["accepted"]) == set(verification.files["lines"])
    assert {rule for _, rule, *_ in told(verification)} == {"OR-PKG-NAME"}


def test_16_a_folder_in_a_zip_is_passed_through_with_what_macs_put_there():
    sent = {**roster(), "__MACOSX/._users.csv": b"junk", ".DS_Store": b"junk"}
    verification = judged({"Any name.zip": zipped(sent, "Export of today/")})
    rules = {(rule, severity) for _, rule, severity, *_ in told(verification)}
    assert rules == {("OR-PKG-FOLDER", "warning")}
    assert verification.files["rejected"].sum() == 0


def test_16_a_file_that_is_none_of_the_set_is_answered():
    sent = {**roster(without=beside("orgs")), "readme.txt": b"Exported by the student system\n"}
    assert told(judged(sent)) == [("readme.txt", "FILE-UNRECOGNISED", "error", None, None)]


def test_16_a_name_that_leads_out_of_the_zip_is_refused():
    verification = judged({"set.zip": zipped({**roster(), "../up.csv": b"x"})})
    assert told(verification) == [("up.csv", "FILE-ZIP-NAME", "error", None, None)]


@pytest.mark.parametrize(
    ("cells", "found", "read"),
    [
        ({"status": ""}, ("OR-USR-DELTA-status", "error", "status"), None),
        ({"dateLastModified": ""},
         ("OR-USR-DELTA-dateLastModified", "error", "dateLastModified"), None),
        ({"status": "inactive"}, ("OR-USR-FORM-status", "warning", "status"), "tobedeleted"),
        ({"status": "toBeDeleted"}, ("OR-USR-FORM-status", "warning", "status"), "tobedeleted"),
        ({"status": "dropped"}, ("OR-USR-CODE-status", "error", "status"), None),
    ],
    ids=str,
)  # fmt: skip
def test_19_a_delta_line_is_refused_or_understood(
    cells: Line, found: tuple[str, str, str], read: str | None
):
    lines = changes("users", {HURT: cells})
    sent = roster(modes={"users": "delta"}, without=beside("users"), users=lines)
    verification = judged(sent)
    rule, severity, column = found
    assert told(verification) == [("users.csv", rule, severity, HURT, column)]
    accepted = cells_of(verification, "users")
    assert accepted.get(HURT, {}).get("status") == read
    assert len(accepted) == LINES - (read is None)


def test_23_a_time_without_its_zone_is_left_out_and_told():
    lines = changes("users", {HURT: {"dateLastModified": "2026-11-19 08:30:00"}})
    sent = roster(modes={"users": "delta"}, without=beside("users"), users=lines)
    place = ("users.csv", "OR-USR-TYPE-dateLastModified", "warning", HURT, "dateLastModified")
    assert told(judged(sent)) == [place]


def test_20_words_of_demographics_are_understood():
    # demographics leave one user out, so its lines are not numbered as the others'
    cells = {"sex": "M", "white": "FALSE", "asian": "Yes"}
    verification = judged(_set("demographics", with_cells("demographics", {HURT: cells})))
    assert told(verification) == [
        ("demographics.csv", f"OR-DEM-FORM-{column}", "warning", HURT, column)
        for column in sorted(cells)
    ]
    read = cells_of(verification, "demographics")[HURT]
    assert {column: read[column] for column in cells} == {
        "sex": "male",
        "white": "false",
        "asian": "true",
    }


@pytest.mark.parametrize("rule", ["OR-USR-CODE-role", "OR-ENR-CODE-role", "OR-CLS-CODE-classType"])
def test_21_what_is_permitted_is_printed(rule: str):
    feed = next(feed for feed in map(feed_of, FILES_OF["1.2"]) if rule in feed.all_rules)
    codes = feed.columns[rule.rsplit("-", 1)[1]].codes
    assert codes is not None
    assert all(value in RULES[rule].fix for value in codes.values)


def test_23_dates_are_read_in_the_form_that_the_profile_names():
    cells = {"startDate": "8/27/2026", "endDate": "06/01/2027"}
    sent = _set("academicSessions", with_cells("academicSessions", {HURT: cells}))
    verification = judged(sent, profile(date_form="MM/DD/YYYY"))
    assert told(verification) == []
    read = cells_of(verification, "academicSessions")
    assert (read[HURT]["startDate"], read[HURT]["endDate"]) == ("2026-08-27", "2027-06-01")
    assert read[2] == sent_cells("academicSessions", lines_of("academicSessions"), header_of(
        "academicSessions"))[2]  # fmt: skip


def test_23_a_named_form_of_dates_is_no_licence_to_guess():
    sent = _set(
        "academicSessions", with_cells("academicSessions", {HURT: {"startDate": "27/8/2026"}})
    )
    verification = judged(sent, profile(date_form="MM/DD/YYYY"))
    assert [place[1:] for place in told(verification)] == [
        ("OR-SES-TYPE-startDate", "error", HURT, "startDate")
    ]


def test_24_a_file_that_is_not_there_is_one_finding():
    sent = roster(without=["courses", "demographics", "enrollments", "users"])
    assert told(judged(sent)) == [("classes.csv", "OR-PKG-REFERENCE", "error", None, None)]


def test_24_a_class_at_an_organization_that_is_no_school_is_refused():
    orgs = with_cells("orgs", {6: {"type": "department"}})
    classes = with_cells("classes", {HURT: {"schoolSourcedId": "orgs-4"}})
    verification = judged(_set("classes", classes, orgs=orgs))
    place = ("classes.csv", "OR-CLS-KIND-schoolSourcedId", "error", HURT, "schoolSourcedId")
    assert told(verification) == [place]


def test_25_of_two_lines_with_one_id_the_first_stands():
    lines = [*lines_of("users"), {**lines_of("users")[1], "givenName": "Another"}]
    verification = judged(_set("users", lines))
    assert told(verification) == [("users.csv", "OR-USR-UNIQUE", "error", LINES + 2, "sourcedId")]
    kept = cells_of(verification, "users").values()
    assert [line["givenName"] for line in kept if line["sourcedId"] == "users-1"] == ["givenName 1"]


@pytest.mark.parametrize("name", FILES_OF["1.1"])
def test_25_a_file_of_a_header_only_ends_nothing(name: str):
    known = knowing(**{other: lines_of(other) for other in FILES_OF["1.1"]})
    verification = judged(roster(**{name: []}), known=known)
    assert told(verification) == [(f"{name}.csv", "FILE-HEADER-ONLY", "warning", None, None)]
    assert outcome(verification, f"{name}.csv")["complete"] is False
    assert verification.files["rejected"].sum() == 0


# --- the dirt of public packages ------------------------------------------------------------------

_JAPANESE = "\u5c71\u7530, \u300c\u592a\u90ce\u300d"
_1_0_SESSIONS = [name for name in header_of("academicSessions") if name != "schoolYear"]


@dataclass(frozen=True)
class Dirt:
    """What a public package does, and what each kind of profile says to it.

    ``tolerant`` and ``strict`` are the rules that speak of the file ``name``; by ``strict`` either
    the lines ``refused`` are kept out, or none.
    """

    about: str
    name: str
    content: bytes
    tolerant: set[str]
    refused: Sequence[int] = ()

    def __str__(self) -> str:
        return self.about

    def sent(self) -> Sent:
        return _set(self.name, self.content)


DIRT = [
    Dirt("a byte order mark", "orgs", codecs.BOM_UTF8 + _good("orgs"), {"FILE-BOM"}),
    Dirt("CRLF", "orgs", _good("orgs").replace(b"\n", b"\r\n"), set()),
    Dirt(
        "quoted Japanese",
        "users",
        as_bytes(
            feed_of("users"),
            with_cells("users", {HURT: {"givenName": _JAPANESE, "pronouns": ""}}),
            header=header_of("users"),
            quoting=csv.QUOTE_ALL,
        ),
        set(),
    ),
    Dirt(
        "trailing commas, in the header too",
        "orgs",
        _good("orgs").replace(b"\n", b",\n"),
        {"OR-HEADER-UNKNOWN"},
        EVERY,
    ),
    Dirt(
        "TRUE",
        "users",
        file_of("users", with_cells("users", {HURT: {"enabledUser": "TRUE"}})),
        {"OR-USR-FORM-enabledUser"},
        (HURT,),
    ),
    Dirt(
        "a role in capitals",
        "enrollments",
        file_of("enrollments", with_cells("enrollments", {HURT: {"role": "STUDENT"}})),
        {"OR-ENR-FORM-role"},
        (HURT,),
    ),
    Dirt(
        "status filled in bulk",
        "users",
        file_of("users", with_cells("users", _ACTIVE)),
        {"OR-USR-BULK-status"},
        EVERY,
    ),
    Dirt(
        "an id with blanks",
        "users",
        file_of("users", with_cells("users", {HURT: {"sourcedId": "a 1"}})),
        {"OR-USR-GUID"},
        (HURT,),
    ),
    Dirt(
        "grades without their zeros",
        "users",
        file_of("users", with_cells("users", {HURT: {"grades": "9"}})),
        {"OR-USR-FORM-grades"},
        (HURT,),
    ),
    Dirt(
        "a column in another case",
        "courses",
        _with_header("courses", {"subjectCodes": "SubjectCodes"}),
        {"OR-HEADER-CASE"},
        EVERY,
    ),
    Dirt(
        "semicolons",
        "orgs",
        as_bytes(feed_of("orgs"), lines_of("orgs"), separator=";", header=header_of("orgs")),
        {"OR-HEADER-SEPARATOR"},
        EVERY,
    ),
    Dirt(
        "columns in another order",
        "orgs",
        _in_order("orgs", list(reversed(header_of("orgs")))),
        {"OR-HEADER-ORDER"},
        EVERY,
    ),
    Dirt(
        "columns of the sender's own that are not last",
        "orgs",
        b"metadata.x," + _good("orgs").replace(b"\norgs", b"\nx,orgs"),
        {"OR-HEADER-ORDER"},
        EVERY,
    ),
    Dirt(
        "a missing column",
        "orgs",
        _in_order("orgs", _without("orgs", "identifier")),
        {"OR-HEADER-ABSENT"},
        EVERY,
    ),
    Dirt(
        "1.0 headers",
        "users",
        _with_header("users", {"userIds": "userId", "agentSourcedIds": "agents"}),
        {"OR-HEADER-1.0"},
        EVERY,
    ),
]


@pytest.mark.parametrize("dirt", DIRT, ids=str)
def test_a_tolerant_profile_accepts_what_carries_meaning(dirt: Dirt):
    verification = judged(dirt.sent())
    assert {rule for _, rule, *_ in told(verification)} == dirt.tolerant
    assert {severity for _, _, severity, *_ in told(verification)} <= {"warning", "info"}
    assert verification.files["rejected"].sum() == 0


@pytest.mark.parametrize("dirt", DIRT, ids=str)
def test_a_strict_profile_says_why_it_does_not(dirt: Dirt):
    verification = judged(dirt.sent(), STRICT)
    of_file = [place for place in told(verification) if place[0] == f"{dirt.name}.csv"]
    assert {rule for _, rule, *_ in of_file} == dirt.tolerant
    assert ("error" in {place[2] for place in of_file}) == bool(dirt.refused)
    assert outcome(verification, f"{dirt.name}.csv")["rejected"] == len(dirt.refused)
    assert accounted_for(verification)


def test_quoted_japanese_is_read_as_it_was_written():
    (dirt,) = [dirt for dirt in DIRT if dirt.about == "quoted Japanese"]
    assert cells_of(judged(dirt.sent()), "users")[HURT]["givenName"] == _JAPANESE


@pytest.mark.parametrize(
    ("name", "folder", "rule"),
    [("Orgs.CSV", "", "OR-PKG-NAME"), ("orgs.csv", "export/", "OR-PKG-FOLDER")],
)
def test_a_strict_profile_refuses_files_of_another_name_or_place(name: str, folder: str, rule: str):
    packed = {"set.zip": zipped({name: _good("orgs")}, folder)}
    tolerated, refused = judged(packed), judged(packed, STRICT)
    assert outcome(tolerated, name)["accepted"] == LINES
    assert outcome(refused, name)["rejected"] == LINES
    assert (name, rule, "error", None, None) in told(refused)


def test_american_dates_are_refused_by_a_strict_profile_too_unless_it_names_them():
    lines = with_cells("academicSessions", {HURT: {"startDate": "8/27/2026"}})
    sent = _set("academicSessions", lines)
    refused = judged(sent, STRICT)
    assert [place[1] for place in told(refused)] == ["OR-SES-TYPE-startDate"]
    named = judged(sent, profile(strict=True, date_form="MM/DD/YYYY"))
    assert told(named) == []


@pytest.mark.parametrize(
    ("property_", "value", "rule"),
    [
        ("fiel.demographics", "absent", "OR-MAN-PROPERTY"),
        ("file.demographics", "Absent", "OR-MAN-VALUE"),
        ("manifest.version", "1", "OR-MAN-VALUE"),
    ],
)
def test_a_strict_profile_refuses_a_misspelt_line_of_the_manifest(
    property_: str, value: str, rule: str
):
    lines = [line for line in manifest_lines(version="1.1", present=["orgs"])
             if line["propertyName"] != property_]  # fmt: skip
    lines.append({"propertyName": property_, "value": value})
    sent = {"manifest.csv": as_bytes(feed_of("manifest"), lines), "orgs.csv": _good("orgs")}
    for profiles, severity in ((None, "warning"), (STRICT, "error")):
        verification = judged(sent, profiles)
        at = ("manifest.csv", rule, severity, len(lines) + 1)
        assert [place[:4] for place in told(verification)] == [at]
        assert outcome(verification, "orgs.csv")["accepted"] == LINES
        assert outcome(verification, "manifest.csv")["rejected"] == (severity == "error")


_SDS = {
    "users": "sourcedId,orgSourcedIds,username,givenName,familyName,password,"
    "activeDirectoryMatchId,email,phone,sms",
    "classes": "sourcedId,orgSourcedId,title,sessionSourcedIds,courseSourcedId,code",
    "roles": "userSourcedId,orgSourcedId,role,sessionSourcedId,grade,isPrimary,roleStartDate,"
    "roleEndDate",
}
"""Headers of School Data Sync (v2.1) files that have names of OneRoster."""


@pytest.mark.parametrize("name", _SDS)
@pytest.mark.parametrize("profiles", [None, STRICT], ids=["tolerant", "strict"])
def test_a_school_data_sync_file_is_called_by_its_name(name: str, profiles: object):
    header = _SDS[name]
    content = f"{header}\n{','.join('x' for _ in header.split(','))}\n".encode()
    verification = judged({f"{name}.csv": content}, profiles)
    file = outcome(verification, f"{name}.csv")
    assert (file["verdict"], file["rejected"]) == ("rejected", 1)
    errors = [place for place in told(verification) if place[2] == "error"]
    assert ("OR-HEADER-SDS", "error", 1, None) in [place[1:] for place in errors]


def test_status_and_time_in_every_line_of_a_bulk_file_make_it_changes():
    sent = roster(without=beside("users"), users=changes("users"))
    assert told(judged(sent)) == [("users.csv", "OR-MODE-DATA", "warning", None, None)]
    strict = judged(sent, STRICT)
    assert ("users.csv", "OR-MODE-DATA", "error", None, None) in told(strict)
    assert outcome(strict, "users.csv")["rejected"] == LINES


def test_the_good_set_is_good_to_a_strict_profile():
    for version in FILES_OF:
        verification = judged(roster(version), STRICT)
        assert told(verification) == []
        assert set(verification.files["verdict"]) == {"accepted"}
