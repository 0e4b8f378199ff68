"""The strict reader on files that are good, or odd in one way of their own.

Belongs here: single cases of encodings, marks, widths and names that no list of damage covers.
"""

from __future__ import annotations

import codecs

import polars as pl
import pytest

from ccgi_pipeline.feeds import cde_directory, foster_focus
from ccgi_pipeline.feeds.registry import FEEDS_BY_NAME
from ccgi_pipeline.feeds.spec import FeedSpec
from ccgi_pipeline.feeds.transcript import COURSE_CATALOG, MANIFEST, STUDENT, TEST_GRADE
from ccgi_pipeline.intake.batch_reader import FileToRead, read_batch
from ccgi_pipeline.intake.reader import Reading, detect_feed, read
from ccgi_pipeline.intake.record_lines import LINE
from ccgi_pipeline_tests.files import as_bytes, good_file, good_lines, usual_name

NAME = "TestGrade.csv"
HEADER = b"StateID,TestName,TestDate\n"


def _rules(reading: Reading) -> list[tuple[str, int | None]]:
    return list(reading.findings.select("rule", "line").iter_rows())


def _column(reading: Reading, name: str) -> list[str | None]:
    assert reading.records is not None
    return reading.records[name].to_list()


def test_leading_zeros_of_codes_are_kept():
    reading = read(HEADER + b"0012345678,007,01/02/2026\n", NAME)
    assert reading.records is not None
    row = reading.records.select("StateID", "TestName", "TestDate").row(0)
    assert row == ("0012345678", "007", "01/02/2026")


def test_blanks_around_a_cell_are_taken_off_and_those_inside_are_kept():
    reading = read(HEADER + b' 0012345678 ,"  New  York ",01/02/2026\n', NAME)
    assert _column(reading, "TestName") == ["New  York"]


@pytest.mark.parametrize("cell", [b"", b'""', b"   ", b'"  "'])
def test_a_blank_cell_is_nothing_in_any_spelling(cell: bytes):
    reading = read(HEADER + b"0012345678," + cell + b",01/02/2026\n", NAME)
    assert _column(reading, "TestName") == [None]


def test_words_that_say_nothing_are_nothing_where_the_feed_says_so():
    directory = FEEDS_BY_NAME["cde_directory"]
    lines = [{**line, "School": "No Data"} for line in good_lines(directory, 2)]
    assert _column(read(as_bytes(directory, lines), "pubschls.txt"), "School") == [None, None]


@pytest.mark.parametrize("word", ["NULL", "NA", "null", "None", "nan", "#N/A", "true", "1e5"])
def test_words_that_other_readers_take_for_nothing_or_for_numbers_stay_words(word: str):
    reading = read(HEADER + f"0012345678,{word},01/02/2026\n".encode(), NAME)
    assert _column(reading, "TestName") == [word]


@pytest.mark.parametrize(
    "litter",
    [
        ",,", " , ,", '"","",""', ",,,,,", "----------,----,----------", "----- ---- -----",
        "-----+----",
        "\x1a", "(1 row affected)", "(1 row(s) affected)", "(1,019 rows affected)", "(1 row)",
        "1 rows selected.", "no rows selected", "19 record(s) selected.", "COPY 19",
        "Total,1,", "Total: 1", "TOTAL RECORDS,1,", "Grand Total,,1", "Record count: 1",
        '"Total","1",""', "Rows: 1", "Completion time: 2026-11-27T03:00:00.1-08:00",
        "Time: 3.214 ms", "Elapsed: 00:00:00.01", "SQL> spool off", "End of report", "-- EOF --",
        "PL/SQL procedure successfully completed.", "Changed database context to 'SIS'.",
        "StateID,TestName,TestDate", "stateid,testname,testdate", '"StateID","TestName","TestDate"',
    ],
)  # fmt: skip
@pytest.mark.parametrize("below", [True, False])
def test_what_an_export_tool_leaves_is_passed_over_and_told(litter: str, below: bool):  # noqa: FBT001
    line = b"0012345678,x,01/02/2026\n"
    left = litter.encode() + b"\n"
    reading = read(HEADER + (line + left if below else left + line), NAME)
    assert reading.lines == 1
    assert reading.unreadable == 0
    assert _column(reading, "StateID") == ["0012345678"]
    ((rule, _),) = _rules(reading)
    assert rule in {"FILE-LITTER", "FILE-REPEATED-HEADER"}


def test_litter_without_a_line_end_does_not_make_the_file_look_cut_off():
    reading = read(HEADER + b"0012345678,x,01/02/2026\n(1 row affected)", NAME)
    assert _rules(reading) == [("FILE-LITTER", 3)]


@pytest.mark.parametrize("litter", [b"\n", b"sep=,\n", b"Changed database context to 'SIS'.\n"])
def test_litter_may_stand_above_the_header(litter: bytes):
    reading = read(litter + HEADER + b"0012345678,x,01/02/2026\n", NAME)
    assert _column(reading, "StateID") == ["0012345678"]
    assert reading.lines == 1


@pytest.mark.parametrize(
    "name",
    ["Total Fitness", "Row 5", "Count Basie", "Copy", "Page 4", "End of Course", "student-1"],
)
def test_a_record_that_begins_like_litter_is_a_record(name: str):
    reading = read(
        b"TestName,StateID,TestDate\n" + f"{name},0012345678,01/02/2026\n".encode(), NAME
    )
    assert _column(reading, "TestName") == [name]
    assert reading.lines == 1


def test_a_damaged_record_is_no_litter():
    reading = read(HEADER + b"0012345678,x\n0012345679,x,01/02/2026\n", NAME)
    assert reading.unreadable == 1


def test_control_characters_of_every_kind_do_not_move_a_line():
    marks = "\x1f\x1e\x1d\x1c\x01\x02\x03\x04\x0b\x0c\x85\u2028"
    body = f"0000000001,a{marks}b,01/02/2026\n0000000002,c,01/02/2026\n".encode()
    reading = read(HEADER + body, NAME)
    assert _column(reading, "TestName") == [f"a{marks}b", "c"]
    assert _rules(reading) == []


@pytest.mark.parametrize(
    "content",
    [b"\xef\xbb\xbf\xef\xbb\xbf", b"\xef\xbb\xbf", b"\xff\xfe", b"\xff\xfe\xff\xfe", b"\xfe\xff"],
    ids=["two of UTF-8", "UTF-8", "UTF-16", "two of UTF-16", "big end first"],
)
def test_byte_order_marks_alone_are_an_empty_file(content: bytes):
    reading = read(content, NAME)
    assert ("FILE-EMPTY", None) in _rules(reading)
    assert reading.lines == 0


def test_two_byte_order_marks_do_not_hide_the_header():
    mark = b"\xef\xbb\xbf"
    reading = read(mark + mark + good_file(TEST_GRADE), NAME)
    assert len(_column(reading, "StateID")) == reading.lines == 6


@pytest.mark.parametrize("last", ["", "\n", "\nStudentTemplate.csv", "a\n"])
def test_a_byte_order_mark_after_the_header_is_no_end_of_the_file(last: str):
    reading = read(f"FileName\n\ufeff{last}".encode(), "Manifest.csv")
    assert reading.records is not None
    assert reading.records["_span"].sum() + reading.unreadable == reading.lines
    assert [cell for cell in _column(reading, "FileName") if cell] == last.split()


@pytest.mark.parametrize("more", [b"", b",01/02/2026", b",01/02/2026,"])
def test_a_cell_longer_than_any_real_one_costs_at_most_its_line(more: bytes):
    long = b'"0000000001","' + b"x" * 200_000 + b'"' + more + b"\n"
    reading = read(HEADER + long + b"0000000002,b,01/02/2026\n", NAME)
    assert _column(reading, "StateID")[-1] == "0000000002"
    assert reading.lines == 2


@pytest.mark.parametrize(
    ("encoding", "mark"),
    [("utf-8", b""), ("utf-16-le", codecs.BOM_UTF16_LE), ("utf-16-be", codecs.BOM_UTF16_BE)],
    ids=["utf-8", "utf-16, little end first", "utf-16, big end first"],
)
def test_a_file_cut_within_a_letter_keeps_the_other_lines(encoding: str, mark: bytes):
    lines = [{**line, "TestName": "Español"} for line in good_lines(TEST_GRADE, 3)]
    whole = as_bytes(TEST_GRADE, lines).decode().encode(encoding)
    cut = mark + whole[: whole.rindex("ñ".encode(encoding)) + 1]
    reading = read(cut, NAME)
    assert _column(reading, "TestName") == ["Español", "Español"]
    assert reading.encoding == encoding
    assert ("FILE-TRUNCATED", 4) in _rules(reading)


def test_a_cut_in_a_quoted_cell_is_a_file_that_breaks_off():
    reading = read(HEADER + b'0000000001,a,01/02/2026\n0000000002,"b', NAME)
    assert _rules(reading) == [("FILE-TRUNCATED", 3)]


def test_a_line_break_in_a_cell_may_hold_blank_lines():
    body = b'0000000001,"one\n\n two",01/02/2026\n0000000002,c,01/02/2026\n'
    reading = read(HEADER + body, NAME)
    assert reading.records is not None
    assert reading.records["_span"].sum() + reading.unreadable == reading.lines
    assert _column(reading, "TestName")[-1] == "c"
    assert reading.records[LINE].to_list()[-1] == 5


def test_a_quote_far_above_takes_no_later_line_with_it():
    lines = as_bytes(TEST_GRADE, good_lines(TEST_GRADE, 3000)).splitlines(keepends=True)
    lines[1] = lines[1].replace(b"TestName", b'"TestName')
    lines[-1] = lines[-1].replace(b"TestName", b'Test"Name')
    reading = read(b"".join(lines), NAME)
    assert _rules(reading) == [("FILE-QUOTES", 2), ("FILE-QUOTES", 3001)]
    assert reading.records is not None
    assert reading.records.height == 2998


@pytest.mark.parametrize(
    "header",
    [
        b'"StateID","TestName","TestDate"\n',
        b" StateID , TestName , TestDate \n",
        b"STATE_ID,Test Name,test-date\n",
        b"StateID^TestName^TestDate\n",
        b"StateID\tTestName\tTestDate\n",
    ],
)
def test_a_header_may_be_quoted_spaced_or_separated_otherwise(header: bytes):
    mark = next(mark for mark in "^\t," if mark.encode() in header)
    row = mark.join(["0000000001", "a", "01/02/2026"]).encode()
    assert _column(read(header + row + b"\n", NAME), "StateID") == ["0000000001"]


def test_the_numbers_of_lines_are_those_of_a_text_editor():
    reading = read(b"\n\n" + HEADER + b"\n0000000001,a,01/02/2026\n\nx\n", NAME)
    assert reading.records is not None
    assert reading.records[LINE].to_list() == [5]
    assert ("FILE-FIELDS", 7) in _rules(reading)


def test_findings_about_the_header_stand_where_the_header_is():
    reading = read(b"\n\nStateID,TestName,TestDate,Colour\n0000000001,a,01/02/2026,x\n", NAME)
    assert ("FILE-COLUMN-UNKNOWN", 3) in _rules(reading)


def test_columns_without_a_name_are_left_out_and_move_no_cell():
    header = b"StateID,,TestName,TestDate,\n"
    reading = read(header + b"0000000001,x,a,01/02/2026,\n", NAME)
    assert _column(reading, "TestName") == ["a"]
    assert _column(reading, "TestDate") == ["01/02/2026"]
    found = reading.findings.select("rule", "column", "detail").rows()
    assert found == [
        ("FILE-COLUMN-UNKNOWN", None, "column 2"),
        ("FILE-COLUMN-UNKNOWN", None, "column 5"),
    ]


def test_an_unquoted_comma_in_a_name_costs_its_line_and_moves_no_cell():
    body = b"0000000001,Smith, John,01/02/2026\n0000000002,b,01/02/2026\n"
    reading = read(HEADER + body, NAME)
    assert _column(reading, "TestName") == ["b"]
    assert _rules(reading) == [("FILE-FIELDS", 2)]


def test_a_file_with_an_unknown_name_is_known_by_its_header():
    assert read(good_file(STUDENT), "export (3).csv").feed is STUDENT
    assert detect_feed(good_file(COURSE_CATALOG)[:4096], "export (3).csv") is COURSE_CATALOG


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "cp1252"])
def test_a_file_is_known_by_a_beginning_that_ends_within_a_letter(encoding: str):
    letters = "é" if encoding == "cp1252" else "😀"
    text = good_file(STUDENT).decode() + letters * 3
    beginning = text.encode(encoding)
    assert detect_feed(beginning[: -2 if encoding.startswith("utf-16") else -1], "x.csv") is STUDENT


def test_a_manifest_keeps_the_separators_in_its_names():
    reading = read(b'FileName\n"Palm Springs, Student.csv"\n', "Manifest.csv", (MANIFEST,))
    assert _column(reading, "FileName") == ["Palm Springs, Student.csv"]


@pytest.mark.parametrize("feed", foster_focus.FEEDS, ids=lambda feed: feed.name)
def test_quotation_marks_are_named_as_the_cause_where_a_file_has_none(feed: FeedSpec):
    content = good_file(feed)
    quoted = b"".join(b'"' + line.replace(b"\t", b'"\t"') + b'"\n' for line in content.splitlines())
    (together,) = read_batch([FileToRead(quoted, usual_name(feed), [feed])])
    for reading in (read(quoted, usual_name(feed), [feed]), together):
        assert "FILE-QUOTED-CELLS" in reading.findings["rule"].to_list()
    assert "FILE-QUOTED-CELLS" not in read(content, usual_name(feed)).findings["rule"].to_list()


@pytest.mark.parametrize("feed", [*foster_focus.FEEDS, cde_directory.FEED], ids=lambda f: f.name)
@pytest.mark.parametrize("place", ["first", "middle", "last"])
def test_single_cells_in_quotation_marks_are_told_once_with_a_count(feed: FeedSpec, place: str):
    header, *lines = good_file(feed).decode().splitlines()
    at = {"first": 0, "middle": 3, "last": -1}[place]
    for number in (1, 3):
        cells = lines[number].split("\t")
        cells[at] = f'"{cells[at]}"'
        lines[number] = "\t".join(cells)
    content = "\n".join([header, *lines, ""]).encode()
    (together,) = read_batch([FileToRead(content, usual_name(feed), [feed])])
    for reading in (read(content, usual_name(feed), [feed]), together):
        told = reading.findings.filter(pl.col("rule") == "FILE-SOME-QUOTED-CELLS")
        assert told.rows() == [("FILE-SOME-QUOTED-CELLS", None, None, "2 lines")]
        assert "FILE-QUOTED-CELLS" not in reading.findings["rule"].to_list()
        name = list(feed.columns)[at]
        assert reading.records[name].str.contains('^".*"$').sum() == 2


@pytest.mark.parametrize("cell", ['Ann "Nan"', '"Nan" Ann', '6" pipe', 'O"Neil'])
def test_a_quotation_mark_within_a_cell_is_data_and_not_told(cell: str):
    feed = foster_focus.DEMOGRAPHICS
    line = good_lines(feed)[0] | {"Lastname": cell}
    content = as_bytes(feed, [line])
    (together,) = read_batch([FileToRead(content, usual_name(feed), [feed])])
    for reading in (read(content, usual_name(feed), [feed]), together):
        assert reading.findings.is_empty()
        assert reading.records["Lastname"].to_list() == [cell]


_SHIFTED = b"19700571234567,Reading,Writing,3010,\n"


@pytest.mark.parametrize("good", [1, 2, 8])
def test_a_line_whose_cells_are_shifted_is_never_taken_for_one_with_blanks_at_its_end(good: int):
    header = b"CDSCode,CourseTitle,CourseNumber,Honors\n"
    lines = b"".join(b"19700571234567,Band,%d,N\n" % number for number in range(good))
    reading = read(header + lines + _SHIFTED, "CourseCatalog.csv")
    assert reading.records is not None
    assert reading.records["CourseTitle"].to_list() == ["Band"] * good
    fields = reading.findings.filter(pl.col("rule") == "FILE-FIELDS")
    assert fields["line"].to_list() == [good + 2]
    assert fields["detail"].item() == (
        "5 cells, the header has 4; probably a cell too many between CourseTitle and Honors"
    )


@pytest.mark.parametrize(
    "cell",
    [
        "one, two, three and\nfour",
        "one,two,three,four\nfive,six",
        "\n".join(f"line {number}, of many" for number in range(60)),
    ],
)
def test_a_quoted_cell_may_have_any_commas_and_line_breaks(cell: str):
    header = "CDSCode,CourseTitle,CourseNumber,Honors\n"
    line = f'19700571234567,"{cell}",3010,N\n'
    content = (header + line + "19700571234567,Band,3011,N\n").encode()
    reading = read(content, "CourseCatalog.csv")
    assert reading.unreadable == 0
    assert reading.records is not None
    assert reading.records["CourseNumber"].to_list() == ["3010", "3011"]
    assert reading.records["CourseTitle"][0] == cell.replace("\n", " ")


def test_a_line_that_lacks_a_cell_is_counted_without_the_separators_in_its_quotes():
    line = b'1612590130229,"Algebra, 1"\n'
    findings = read(HEADER + line, NAME).findings
    assert findings["detail"].to_list() == ["2 cells, the header has 3"]
