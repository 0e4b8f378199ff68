"""Reads a file strictly: every physical line becomes part of one record, or one finding.

Belongs here: gate 1. General CSV parsers lose lines silently on stray quotes, short rows and
damaged ends. This reader first splits the file into lines and checks each as one string, so that
the CSV parser only gets lines that it cannot misread. All values stay text. Does not belong here:
types and rules of a feed's columns (verification).
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import polars as pl

from ccgi_pipeline.feeds import file_rules
from ccgi_pipeline.feeds.registry import FEEDS, feed_by_name
from ccgi_pipeline.feeds.spec import FeedSpec
from ccgi_pipeline.intake.encodings import decode
from ccgi_pipeline.intake.findings import Finding, findings_frame, line_findings
from ccgi_pipeline.intake.headers import Header, parse_header

LINE, SPAN = "_line", "_span"
"""Columns with a record's first physical line, and the number of lines that it covers."""

csv.field_size_limit(1 << 30)  # a long cell is a finding of its column's rule, not a failure

_LINE_SEPARATORS = "\x1f\x1e\x1d\x1c\x01\x02\x03\x04"
"""Control characters; with one that a file does not have as separator, a CSV parser reads whole
lines."""
_SMALL = 1 << 16
"""Up to this many bytes, Python splits a file faster than a CSV parser does."""
_LONGEST_RECORD = 20
"""Physical lines that a record may span; beyond them an open quote counts as stray."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The result of gate 1 for one file.

    ``lines`` counts the physical data lines, without header and blank lines. ``records`` holds the
    feed's columns as text with ``_line`` and ``_span``; the spans of its rows and ``unreadable``
    add up to ``lines``. ``findings`` is a frame of ``FINDINGS_SCHEMA``. ``edition`` is the version
    of the file that its header shows, if it shows one. ``left_alone`` counts the lines of a file
    that no feed needs.
    """

    feed: FeedSpec | None
    encoding: str
    lines: int
    records: pl.DataFrame | None
    unreadable: int
    findings: pl.DataFrame
    edition: str = ""
    left_alone: int = 0


def read(
    content: bytes,
    file_name: str,
    candidates: Sequence[FeedSpec] = FEEDS,
    edition: str = "",
) -> Reading:
    """Reads one file's bytes; ``candidates`` are the feeds that it may be.

    ``edition`` is the file's version unless its header shows another.
    """
    text = decode(content)
    named = feed_by_name(file_name, candidates)
    findings = list(text.findings)
    if text.body is None:
        lines_below_header = max(0, len(content.splitlines()) - 1)
        return _unreadable_file(named, text.encoding, lines_below_header, findings)
    lines = split_lines(text.body)
    blank = lines.filter(is_blank())
    lines = lines.filter(~is_blank()) if blank.height else lines
    if lines.is_empty():
        return _unreadable_file(named, text.encoding, 0, [*findings, Finding(file_rules.EMPTY)])
    if not blank.is_empty():
        findings.append(
            Finding(
                file_rules.BLANK_LINES,
                line=blank.item(0, LINE),
                detail=f"{blank.height} blank lines",
            )
        )
    number, first = lines.item(0, LINE), lines.item(0, "text")
    header = parse_header(number, first, named, candidates, edition)
    if header is None:
        rule = file_rules.UNRECOGNISED if named is None else file_rules.HEADER
        line = None if named is None else lines.item(0, LINE)
        return _unreadable_file(
            named, text.encoding, lines.height, [*findings, Finding(rule, line=line)]
        )
    findings.extend(header.findings)
    lines = lines.slice(1)
    if header.fatal:
        nothing = _unreadable_file(header.feed, text.encoding, lines.height, findings)
        return replace(nothing, edition=header.edition)
    if lines.is_empty():
        findings.append(Finding(file_rules.HEADER_ONLY))
    form = LineFormat(header.separator, header.feed.quote, len(header.columns), header.text)
    records, unreadable = _sort_lines(lines, form, ends_open=not text.body.endswith(b"\n"))
    as_received = records.height == lines.height and blank.is_empty() and not records["extra"].any()
    untouched = text.body[text.body.index(b"\n") + 1 :] if as_received and records.height else None
    return Reading(
        feed=header.feed,
        encoding=text.encoding,
        lines=lines.height,
        records=parse_cells(records, header, untouched),
        unreadable=int(unreadable["lines"].sum()),
        findings=collect_findings(findings, records, unreadable),
        edition=header.edition,
    )


def collect_findings(
    of_file: list[Finding], records: pl.DataFrame, unreadable: pl.DataFrame
) -> pl.DataFrame:
    """Returns the findings of a file and of its lines, in the order of the lines."""
    # Each step is skipped if it would find nothing, because most files have no findings of lines.
    frames = [findings_frame(of_file)]
    if unreadable.height:
        frames.append(
            unreadable.select("rule", LINE, pl.lit(None, dtype=pl.String), "detail").rename(
                {LINE: "line", "literal": "column"}
            )
        )
    if records["extra"].any():
        frames.append(line_findings(records.filter("extra")[LINE], file_rules.EXTRA_CELLS))
    if records.height and records[SPAN].max() != 1:
        frames.append(line_findings(records.filter(pl.col(SPAN) > 1)[LINE], file_rules.LINE_BREAK))
    if len(frames) == 1 and len(of_file) <= 1:
        return frames[0]  # one finding has its order
    return pl.concat(frames).sort("line", nulls_last=False, maintain_order=True)


def count_lines(content: bytes) -> Reading:
    """Counts the lines of a file that is not read."""
    text = decode(content)
    lines = split_lines(text.body or b"").filter(~is_blank()).height
    below_header = max(0, lines - 1)
    return Reading(
        None, text.encoding, below_header, None, 0, findings_frame([]), left_alone=below_header
    )


def detect_feed(
    beginning: bytes, file_name: str, candidates: Sequence[FeedSpec] = FEEDS
) -> FeedSpec | None:
    """Detects a file's feed by its name, or else by the header in its first bytes."""
    named = feed_by_name(file_name, candidates)
    if named is not None:
        return named
    body = decode(beginning).body or b""
    first_line = next((line for line in body.decode().split("\n") if line.strip()), "")
    header = parse_header(1, first_line, None, candidates)
    return header.feed if header else None


def _unreadable_file(
    feed: FeedSpec | None, encoding: str, lines: int, findings: list[Finding]
) -> Reading:
    return Reading(feed, encoding, lines, None, lines, findings_frame(findings))


# --- lines ------------------------------------------------------------------------------------


def is_blank() -> pl.Expr:
    """Matches lines of white space and stray byte order marks."""
    return pl.col("text").str.contains(r"^[\s\x{feff}]*$").fill_null(value=True)


def split_lines(body: bytes) -> pl.DataFrame:
    """Splits a file into physical lines (``text``), numbered from 1 (``_line``).

    The CSV parser is the fastest line splitter: with a separator that does not occur, a line is one
    cell. The number of lines is compared with the number of line feeds, so none can be lost.
    """
    expected = body.count(b"\n") + (not body.endswith(b"\n") and bool(body))
    separator = None
    if len(body) > _SMALL:
        separator = next((mark for mark in _LINE_SEPARATORS if mark.encode() not in body), None)
    if not expected:
        lines = pl.Series("text", [], dtype=pl.String)
    elif separator is None:
        lines = pl.Series("text", body.decode().removesuffix("\n").split("\n"))
    else:
        lines = pl.read_csv(
            body,
            has_header=False,
            separator=separator,
            quote_char=None,
            infer_schema=False,
            new_columns=["text"],
        ).to_series()
    if len(lines) != expected:
        msg = f"read {len(lines)} of {expected} physical lines"
        raise AssertionError(msg)
    return lines.to_frame().with_row_index(LINE, offset=1)


# --- records ----------------------------------------------------------------------------------

_RECORD_SCHEMA = {LINE: pl.UInt32, SPAN: pl.UInt32, "text": pl.String, "extra": pl.Boolean}


@dataclass(frozen=True, slots=True)
class LineFormat:
    """The form that every line of a file must have."""

    separator: str
    quote: str | None
    cells: int
    header: str

    def quoted_line(self, *, any_cells: bool = False) -> str:
        """Returns the regular expression of a record whose cells may be quoted (RFC 4180)."""
        quote, separator = re.escape(self.quote or ""), re.escape(self.separator)
        cell = rf"(?:[^{quote}{separator}]*|{quote}(?:[^{quote}]|{quote}{quote})*{quote})"
        more = "*" if any_cells else f"{{{self.cells - 1}}}"
        return rf"(?s)\A{cell}(?:{separator}{cell}){more}\z"


def _sort_lines(
    lines: pl.DataFrame, form: LineFormat, *, ends_open: bool
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Sorts ``lines`` into records and unreadable lines.

    Unreadable lines have the columns ``_line``, ``lines`` (how many), ``rule`` and ``detail``.

    ``ends_open``: the file's last line has no line end. If that line is unreadable too, the file
    was cut off there.
    """
    has_quote = pl.col("text").str.contains(form.quote, literal=True) if form.quote else pl.lit(0)
    damage = (
        pl.when(pl.col("text").str.contains("\x00", literal=True))
        .then(pl.lit(file_rules.NUL.id))
        .when(pl.col("text") == form.header)
        .then(pl.lit(file_rules.REPEATED_HEADER.id))
    )
    lines = lines.with_columns(
        (pl.col("text").str.count_matches(form.separator, literal=True) + 1).alias("cells"),
        has_quote.cast(pl.Boolean).alias("quoted"),
        damage.alias("rule"),
    )
    if _is_regular(lines, form):
        # This is true of most files, and saves most of the time that a small file takes.
        return _as_records(lines, pl.col("text"), extra=False), no_line_unreadable()
    damaged = lines.filter(pl.col("rule").is_not_null())
    whole = lines.filter(pl.col("rule").is_null())
    plain, ragged = _sort_plain_lines(whole.filter(~pl.col("quoted")), form)
    quoted = _sort_quoted_lines(whole, form)
    unreadable = pl.concat(
        [
            _unreadable(damaged, pl.col("rule")),
            _unreadable(ragged, pl.lit(file_rules.FIELDS.id), _cell_count_text(form)),
            _unreadable(quoted.ragged, pl.lit(file_rules.FIELDS.id), _cell_count_text(form)),
            _unreadable(quoted.broken, pl.lit(file_rules.QUOTES.id)),
        ]
    ).filter(~pl.col(LINE).is_in(quoted.taken))
    if ends_open and not lines.is_empty():
        cut = (pl.col(LINE) == lines.item(-1, LINE)) & pl.col("rule").is_in(
            [file_rules.FIELDS.id, file_rules.QUOTES.id, file_rules.NUL.id]
        )
        unreadable = unreadable.with_columns(
            pl.when(cut)
            .then(pl.lit(file_rules.TRUNCATED.id))
            .otherwise(pl.col("rule"))
            .alias("rule")
        )
    return pl.concat([plain, quoted.records]).sort(LINE), unreadable.sort(LINE)


def _is_regular(lines: pl.DataFrame, form: LineFormat) -> bool:
    """Returns whether every line is one record. Files with few quotes are not tested: False."""
    quoted = lines["quoted"]
    right = pl.col("cells") == form.cells
    if 2 * quoted.sum() > lines.height:
        # The regular expression is slow, so it is only used if most lines have a quote.
        well_formed = pl.col("text").str.contains(form.quoted_line())
        right = pl.when("quoted").then(well_formed).otherwise(right)
    elif quoted.any():
        return False
    return bool(lines.select((right & pl.col("rule").is_null()).all()).item())


def no_line_unreadable() -> pl.DataFrame:
    """Returns the empty frame of unreadable lines."""
    return pl.DataFrame(
        schema={LINE: pl.UInt32, "lines": pl.UInt32, "rule": pl.String, "detail": pl.String}
    )


def _cell_count_text(form: LineFormat) -> pl.Expr:
    return pl.col("cells").cast(pl.String) + f" cells, the header has {form.cells}"


def _unreadable(lines: pl.DataFrame, rule: pl.Expr, detail: pl.Expr | None = None) -> pl.DataFrame:
    return lines.select(
        LINE,
        pl.lit(1, dtype=pl.UInt32).alias("lines"),
        rule.alias("rule"),
        (pl.lit(None, dtype=pl.String) if detail is None else detail).alias("detail"),
    )


def _as_records(lines: pl.DataFrame, text: pl.Expr, *, extra: bool) -> pl.DataFrame:
    return lines.select(
        LINE,
        pl.lit(1, dtype=pl.UInt32).alias(SPAN),
        text.alias("text"),
        pl.lit(value=extra).alias("extra"),
    )


def _sort_plain_lines(plain: pl.DataFrame, form: LineFormat) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Returns the records of lines without quotes, and the lines with a wrong number of cells.

    Blank cells beyond the header's last column are dropped and marked (``extra``), unless the line
    has a comma followed by a blank: then the comma is probably text and has split a cell in two.
    """
    separator = re.escape(form.separator)
    trailing = pl.col("text").str.extract(rf"([\s{separator}]*)$")
    blank_cells = trailing.str.count_matches(form.separator, literal=True)
    right = pl.col("cells") == form.cells
    surplus = pl.col("cells").cast(pl.Int64) - form.cells
    exact = plain.filter(right)
    other = plain.filter(~right)
    in_text = pl.col("text").str.contains(rf"{separator} [^\s{separator}]")
    trims = (surplus > 0) & (blank_cells >= surplus) & ~in_text
    trimmable = other.filter(trims)
    first_cells = pl.col("text").str.split(form.separator).list.head(form.cells)
    records = [
        _as_records(exact, pl.col("text"), extra=False),
        _as_records(trimmable, first_cells.list.join(form.separator), extra=True),
    ]
    return pl.concat(records), other.filter(~trims)


@dataclass(frozen=True, slots=True)
class _QuotedLines:
    """Sorted lines with quotes; ``taken`` are lines that belong to a record begun above them."""

    records: pl.DataFrame
    ragged: pl.DataFrame
    broken: pl.DataFrame
    taken: list[int]


def _sort_quoted_lines(whole: pl.DataFrame, form: LineFormat) -> _QuotedLines:
    """Sorts the lines with quotes into records, ragged lines and lines whose quotes do not match.

    A quoted cell may hold line breaks: a line that is no record by itself is joined with the lines
    that follow it, as long as together they have fewer separators than two records. So a stray
    quote costs its own line only, and never the students below it.
    """
    lines = whole.filter(pl.col("quoted"))
    if lines.is_empty():
        return _QuotedLines(pl.DataFrame(schema=_RECORD_SCHEMA), lines, lines, [])
    well_formed = pl.col("text").str.contains(form.quoted_line())
    single = _as_records(lines.filter(well_formed), pl.col("text"), extra=False)
    other = lines.filter(~well_formed)
    if other.is_empty():
        return _QuotedLines(single, other, other, [])
    closed = pl.col("text").str.contains(form.quoted_line(any_cells=True))
    trimmed, ragged = _trim_records(other.filter(closed), form)
    broken = other.filter(~closed)
    joined, taken = _join_records(whole, broken[LINE].to_list(), form)
    started = [start for start, *_ in joined]
    records = [single, trimmed, pl.DataFrame(joined, schema=_RECORD_SCHEMA, orient="row")]
    broken = broken.filter(~pl.col(LINE).is_in([*started, *taken]))
    return _QuotedLines(pl.concat(records), ragged, broken, taken)


def _trim_records(closed: pl.DataFrame, form: LineFormat) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Splits lines with matching quotes and a wrong number of cells into records and the rest.

    Blank cells beyond the header's last column are dropped, as in lines without quotes.
    """
    rows: list[tuple[int, int, str, bool]] = []
    counts: list[int] = []
    for number, text in closed.select(LINE, "text").iter_rows():
        cells = next(csv.reader([text], delimiter=form.separator, quotechar=form.quote))
        counts.append(len(cells))
        if len(cells) > form.cells and not "".join(cells[form.cells :]).strip():
            kept = io.StringIO()
            csv.writer(kept, delimiter=form.separator, lineterminator="").writerow(
                cells[: form.cells]
            )
            rows.append((number, 1, kept.getvalue(), True))
    trimmed = pl.DataFrame(rows, schema=_RECORD_SCHEMA, orient="row")
    counted = closed.with_columns(pl.Series("cells", counts, dtype=pl.UInt32))
    return trimmed, counted.filter(~pl.col(LINE).is_in(trimmed[LINE].implode()))


def _join_records(
    whole: pl.DataFrame, starts: list[int], form: LineFormat
) -> tuple[list[tuple[int, int, str, bool]], list[int]]:
    """Joins lines to records with line breaks in them; tries each of ``starts`` as first line."""
    pattern = re.compile(form.quoted_line().replace(r"\z", r"\Z"))
    joined: list[tuple[int, int, str, bool]] = []
    taken: list[int] = []
    for start in starts:
        if taken and start <= taken[-1]:
            continue
        first = whole[LINE].search_sorted(start)
        window = whole.slice(first, _LONGEST_RECORD)
        parts: list[str] = []
        separators = 0
        for text, cells in window.select("text", "cells").iter_rows():
            separators += cells - 1
            if separators >= 2 * (form.cells - 1):
                break
            parts.append(text)
            record = " ".join(part.strip() for part in parts)
            if len(parts) > 1 and pattern.search(record):
                joined.append((start, len(parts), record, False))
                taken.extend(window[LINE].slice(1, len(parts) - 1).to_list())
                break
    return joined, taken


def _may_have_padding(content: bytes | None) -> bool:
    """Returns whether a cell may begin or end with white space.

    Line ends do not count; a tab may be a separator, and characters beyond ASCII may be blank.
    """
    return content is None or not content.isascii() or any(sign in content for sign in _BLANKS)


_BLANKS = (b" ", b"\t", b"\x0b", b"\x0c", b"\x1c", b"\x1d", b"\x1e", b"\x1f")


def parse_cells(records: pl.DataFrame, header: Header, untouched: bytes | None) -> pl.DataFrame:
    """Parses the records into the feed's columns as text; stripped, and null where blank.

    ``untouched`` are the file's bytes below its header if every line is one record. They are parsed
    directly, which avoids joining the records again.
    """
    names = [f"cell{position}" for position in range(len(header.columns))]
    feed = header.feed
    blank = ["", *feed.blank_words]
    found = {name: cell for cell, name in zip(names, header.columns, strict=True) if name}
    text = records["text"]
    quoted = feed.quote is not None and bool(text.str.contains(feed.quote, literal=True).any())
    separator = re.escape(header.separator)
    padded = quoted or (
        _may_have_padding(untouched)
        and text.str.contains(rf"(?:^|{separator})\s|\s(?:{separator}|$)").any()
    )
    if records.is_empty():
        cells = pl.DataFrame(schema=dict.fromkeys(names, pl.String))
    else:
        cells = pl.read_csv(
            text.str.join("\n").item().encode() if untouched is None else untouched,
            has_header=False,
            separator=header.separator,
            quote_char=feed.quote if quoted else None,
            infer_schema=False,
            new_columns=names,
            null_values=blank,
        )
    if cells.height != records.height:
        msg = f"parsed {cells.height} of {records.height} records"
        raise AssertionError(msg)
    if padded:
        stripped = pl.all().str.strip_chars()
        cells = cells.select(stripped.replace(blank, [None] * len(blank)))
    return cells.select(
        records[LINE],
        records[SPAN],
        *(
            pl.col(found[name]).alias(name)
            if name in found
            else pl.lit(None, dtype=pl.String).alias(name)
            for name in feed.columns
        ),
    )
