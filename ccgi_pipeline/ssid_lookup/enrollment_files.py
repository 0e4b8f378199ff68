"""Files of enrollments that are sent to the look-up's service, and of lines that were refused.

Belongs here: the columns of such a file, reading it line by line, and writing what was refused.
Does not belong here: the fields of a verification (``enrollments``), sending it
(``enrollment_batch``).

The columns are the contract's fields, with their names. The file is read as strictly as a
district's: each line has a fate, and no value is guessed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandera.polars as pa
import polars as pl

from ccgi_pipeline.common.errors import PermanentError, value_free
from ccgi_pipeline.common.packed_frames import unpacked
from ccgi_pipeline.common.spreadsheet_cells import sanitize_cells
from ccgi_pipeline.feeds import sources
from ccgi_pipeline.feeds.columns import Code, CodeSet, Requirement, column
from ccgi_pipeline.feeds.file_rules import FILE_RULES
from ccgi_pipeline.feeds.rules import Rule, Severity
from ccgi_pipeline.feeds.spec import ROW, FeedSpec, Lifecycle
from ccgi_pipeline.intake.reader import Reading, read
from ccgi_pipeline.intake.record_lines import LINE
from ccgi_pipeline.ssid_lookup.contract import ContractField
from ccgi_pipeline.ssid_lookup.enrollments import ENROLLMENT_FIELDS, EnrollmentStatus
from ccgi_pipeline.verification.validation import validate_cells

SOURCE = f"this project, after the fields of {sources.SSID_LOOKUP.title}"
_FIELDS = {spec.name: spec for spec in ENROLLMENT_FIELDS}
FIELDS = tuple(_FIELDS)
_STATUS = CodeSet(
    "Enrollment Status",
    tuple(Code(str(status), str(status)) for status in EnrollmentStatus),
    source=SOURCE,
)


def _column(spec: ContractField, codes: CodeSet | None = None, **facts: Any) -> Any:  # noqa: ANN401 - see column
    return column(
        f"{spec.description} ({spec.form}).",
        requirement=Requirement.REQUIRED,
        pattern=None if codes or spec.is_date else spec.pattern,
        codes=codes,
        example=spec.example,
        source=SOURCE,
        **facts,
    )


class _Enrollment(pa.DataFrameModel):
    """One student at one college in one term."""

    CCCID: str = _column(_FIELDS["CCCID"], pii=True)
    SSID: str = _column(_FIELDS["SSID"], pii=True, restricted=True)
    College: str = _column(_FIELDS["College"])
    Term: str = _column(_FIELDS["Term"])
    Status: str = _column(_FIELDS["Status"], _STATUS)
    Date: pl.Date = _column(_FIELDS["Date"], formats=("%Y-%m-%d",))


KEY = ("CCCID", "SSID", "College", "Term")
"""What makes two lines the same enrollment; of several, the last line stands."""

FEED = FeedSpec(
    name="enrollments",
    family="enrollments",
    title="Verifications of enrollment",
    prefix="EN",
    model=_Enrollment,
    stems=("enrollments",),
    keys=KEY,
    lifecycle=Lifecycle.UPSERT,
    ssid="SSID",
    source=SOURCE,
)
"""It is in no family: an operator gives the file to a command, and nothing of it is loaded."""

_RULES = {**{rule.id: rule for rule in FILE_RULES}, **FEED.all_rules}
REFUSED_BY_SERVICE = Rule(
    id="EN-SERVICE",
    severity=Severity.ERROR,
    text="The service does not accept the line: {fields}.",
    fix="Correct these fields, or ask the service's operator which form it wants.",
    source=SOURCE,
)
"""The finding about a line that is well formed here and that the service refuses all the same."""

REFUSED_SCHEMA = {
    "line": pl.UInt32,
    **dict.fromkeys((*FIELDS, "rule", "what is wrong", "what to change"), pl.String),
}


class EnrollmentFileError(PermanentError):
    """The file is no file of enrollments, so nothing of it was sent. Carries no values."""


@dataclass(frozen=True, slots=True)
class EnrollmentFile:
    """What is in a file: ``lines`` in all, of which some are ``refused``.

    ``enrollments`` has a row for each other line: its ``line`` and ``FIELDS`` as text.
    ``refused`` is a frame of ``REFUSED_SCHEMA`` with a row for each refused line: its first fault.
    """

    lines: int
    enrollments: pl.DataFrame
    refused: pl.DataFrame


@value_free
def read_enrollments(path: Path) -> EnrollmentFile:
    """Reads a file of enrollments. Raises EnrollmentFileError if it is none."""
    reading = read(path.read_bytes(), path.name, (FEED,))
    if reading.records is None:
        told = [_RULES[rule].text for rule in reading.findings["rule"].unique(maintain_order=True)]
        wanted = f"its first line must be {','.join(FIELDS)}"
        msg = f"{path.name} has no enrollments that could be read: {wanted}. {' '.join(told)}"
        raise EnrollmentFileError(msg.strip())
    records = unpacked(reading.records)
    validated = validate_cells(FEED, records)
    numbers = records[LINE].rename("line")
    sent = records.select(pl.col(LINE).alias("line"), *FIELDS)
    failures = validated.failures.filter(
        pl.col("rule").is_in([rule.id for rule in _RULES.values() if rule.severity == "error"])
    )
    faults = failures.select(numbers.gather(failures[ROW]), "rule")
    broken = pl.concat([faults, _unreadable_lines(reading, numbers)])
    refused = describe_refused(sent, broken.unique("line", keep="first", maintain_order=True))
    return EnrollmentFile(
        lines=reading.lines,
        enrollments=sent.join(refused, on="line", how="anti", maintain_order="left"),
        refused=refused,
    )


def _unreadable_lines(reading: Reading, read_lines: pl.Series) -> pl.DataFrame:
    """Returns the lines that are no records, each with the rule that says why."""
    found = reading.findings.filter(
        pl.col("line").is_not_null() & ~pl.col("line").is_in(read_lines.implode())
    )
    errors = [rule.id for rule in FILE_RULES if rule.severity is Severity.ERROR]
    return found.filter(pl.col("rule").is_in(errors)).select("line", "rule")


def describe_refused(
    lines: pl.DataFrame, broken: pl.DataFrame, fields: pl.Series | None = None
) -> pl.DataFrame:
    """Returns a frame of ``REFUSED_SCHEMA``: ``broken`` (``line``, ``rule``) in words.

    ``lines`` has the cells of the lines that could be read; ``fields`` names, for each of
    ``broken``, what the service found wrong.
    """
    rules = {**_RULES, REFUSED_BY_SERVICE.id: REFUSED_BY_SERVICE}
    texts = {rule.id: rule.text for rule in rules.values()}
    fixes = {rule.id: rule.fix for rule in rules.values()}
    told = broken.with_columns(
        pl.col("rule").replace_strict(texts, return_dtype=pl.String).alias("what is wrong"),
        pl.col("rule").replace_strict(fixes, return_dtype=pl.String).alias("what to change"),
    )
    if fields is not None:
        named = pl.lit(fields.replace("", "the line as a whole"))
        told = told.with_columns(
            pl.col("what is wrong").str.replace("{fields}", named, literal=True)
        )
    return (
        told.join(lines, on="line", how="left", maintain_order="left")
        .select(pl.col(name).cast(dtype) for name, dtype in REFUSED_SCHEMA.items())
        .sort("line")
    )


def write_refused(path: Path, refused: pl.DataFrame) -> None:
    """Writes the refused lines for their sender; deletes an earlier file if there are none.

    Only its owner can read it. The first columns are those of a file of enrollments, so that it can
    be corrected and sent.
    """
    if refused.is_empty():
        path.unlink(missing_ok=True)
        return
    names = [*FIELDS, *(name for name in REFUSED_SCHEMA if name not in FIELDS)]
    partial = path.with_name(f"{path.name}.part")
    partial.unlink(missing_ok=True)
    partial.touch(mode=0o600)
    sanitize_cells(refused.select(names), [*FIELDS]).write_csv(partial)
    partial.replace(path)
