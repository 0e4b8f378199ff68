"""Pages of records as lines of the CSV files of the same version. Pure, except for appending.

Belongs here: what a field's value becomes in a cell, the manifest, appending lines to a file. Cells
that do not fit stay as they came, so that the rules of the feed name them. Does not belong here:
where files lie (``drops``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import polars as pl

from ccgi_pipeline.feeds import oneroster
from ccgi_pipeline.feeds.oneroster.package_rules import LEFT_ALONE_FILES
from ccgi_pipeline.feeds.oneroster.vocabulary import GONE, STATUS_ALSO
from ccgi_pipeline.oneroster_api.collections import (
    COMMON,
    CREDENTIAL_FIELDS,
    CREDENTIALS,
    ID,
    MODIFIED,
    NESTED,
    ROLES,
    STATUS,
    USER_PROFILES,
    VERSION_1_1,
    ApiCollection,
    ApiField,
    FieldKind,
)

_DATE_WITH_TIME = (
    r"^([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]00:00(?::00(?:\.0+)?)?(?:Z|[+-][0-9]{2}:?[0-9]{2})?$"
)
"""A date with a time of zero. Any other time could mean another day."""
_WITH_OFFSET = r"[+-][0-9]{2}:?[0-9]{2}$"
_GONE_WORDS = (GONE, *(word for word, meant in STATUS_ALSO.items() if meant == GONE))


@dataclass(frozen=True, slots=True)
class Lines:
    """What a page becomes: the lines of each file by its name, and what is noted about them.

    ``ids``: of all records, those that are gone included. ``gone``: how many records say that they
    are to be deleted. ``newest``: the latest dateLastModified in UTC, None if none can be read.
    ``oldest`` likewise.
    """

    files: Mapping[str, pl.DataFrame]
    ids: pl.Series
    gone: int
    newest: str | None
    oldest: str | None


def make_lines(
    records: pl.DataFrame, collection: ApiCollection, nested: Sequence[str], *, delta: bool
) -> Lines:
    """Returns the lines of a page; in a full set (not ``delta``) without records that are gone.

    A full set leaves status and dateLastModified blank, as the binding asks.
    """
    ids, status = records[ID], records[STATUS]
    oldest, newest = _find_span(records[MODIFIED])
    gone = 0 if (status == "active").all() else int(records.select(_is_gone()).sum().item())
    kept = records.filter(~_is_gone()) if gone and not delta else records
    common = (
        {STATUS: _blank_as_null(pl.col(STATUS)), MODIFIED: _moment(pl.col(MODIFIED))}
        if delta
        else {
            # Whatever is neither active nor gone stays, for the rules to name it.
            STATUS: pl.when(pl.col(STATUS).str.to_lowercase() != "active").then(
                _blank_as_null(pl.col(STATUS))
            ),
            MODIFIED: pl.lit(None, pl.String),
        }
    )
    own = kept.select(
        common.get(field.column, _cell(field, records.columns)).alias(field.column)
        for field in collection.fields
    )
    files = {collection.name: own}
    for name in nested:
        files[name] = _nested_lines(kept, name, common)
    return Lines(files, ids, gone, newest, oldest)


_MOMENT = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z$"


def _find_span(modified: pl.Series) -> tuple[str | None, str | None]:
    """Returns the earliest and the latest of moments as text in UTC, of those that can be read."""
    ends = _find_ends(modified)
    if all(end is None or re.fullmatch(_MOMENT, end) for end in ends):
        return ends  # nothing between two moments needs another look, if all have one form
    utc = modified.to_frame().select(_moment(pl.col(MODIFIED))).to_series()
    return _find_ends(utc.filter(utc.str.contains(_MOMENT)))


def _find_ends(texts: pl.Series) -> tuple[str | None, str | None]:
    first, last = texts.min(), texts.max()
    return (None, None) if first is None or last is None else (str(first), str(last))


def _is_gone() -> pl.Expr:
    return (
        pl.col(STATUS)
        .str.strip_chars()
        .str.to_lowercase()
        .is_in(_GONE_WORDS)
        .fill_null(value=False)
    )


def _blank_as_null(cell: pl.Expr) -> pl.Expr:
    return pl.when(cell != "").then(cell)


def _cell(field: ApiField, columns: Sequence[str]) -> pl.Expr:
    """Returns the cell of a field: by the first of its names that has a value."""
    if field.kind is FieldKind.NEVER:
        return pl.lit(None, pl.String)
    cells = [_value(pl.col(name), field.kind) for name in field.names if name in columns]
    if field.kind is FieldKind.REFERENCE and field.column in columns:
        cells.append(pl.col(field.column))
    if field.kind is FieldKind.REFERENCES and field.column in columns:
        cells.append(_joined(pl.col(field.column)))
    return pl.coalesce(*(_blank_as_null(cell) for cell in cells))


def _value(value: pl.Expr, kind: FieldKind) -> pl.Expr:
    return _VALUES.get(kind, _unchanged)(value)


def _unchanged(value: pl.Expr) -> pl.Expr:
    return value


def _id_of(value: pl.Expr) -> pl.Expr:
    return value.struct.field(ID)


def _ids_of(value: pl.Expr) -> pl.Expr:
    return _joined(value.list.eval(pl.element().struct.field(ID)))


def _pairs(value: pl.Expr) -> pl.Expr:
    entry = pl.element().struct
    parts = (pl.lit("{"), entry.field("type"), pl.lit(":"), entry.field("identifier"), pl.lit("}"))
    return _joined(value.list.eval(pl.concat_str(*parts)))


def _day(value: pl.Expr) -> pl.Expr:
    return value.str.replace(_DATE_WITH_TIME, "$1")


def _joined(value: pl.Expr) -> pl.Expr:
    return value.list.drop_nulls().list.join(",")


def _moment(value: pl.Expr) -> pl.Expr:
    """Returns a moment in UTC: one with another offset is converted, one without stays."""
    as_iso = value.str.strip_chars().str.replace(" ", "T", literal=True)
    offset = as_iso.str.contains(_WITH_OFFSET)
    utc = (
        pl.when(offset)
        .then(as_iso)
        .str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%#z", strict=False, time_unit="ms", time_zone="UTC")
        .dt.to_string("%Y-%m-%dT%H:%M:%S%.3fZ")
    )
    return pl.coalesce(utc, _blank_as_null(as_iso))


_VALUES: Mapping[FieldKind, Callable[[pl.Expr], pl.Expr]] = {
    FieldKind.REFERENCE: _id_of,
    FieldKind.REFERENCES: _ids_of,
    FieldKind.LIST: _joined,
    FieldKind.IDS: _pairs,
    FieldKind.DATE: _day,
    FieldKind.MOMENT: _moment,
}
"""What each kind of field becomes; the others stay as they are."""


def _nested_lines(users: pl.DataFrame, name: str, common: Mapping[str, pl.Expr]) -> pl.DataFrame:
    """Returns the lines of what is nested in users; status and date are the user's."""
    entries = (
        users.select(_user=pl.col(ID), entry=pl.col(name), **common)
        .explode("entry", empty_as_null=False)
        .filter(pl.col("entry").is_not_null())
        .unnest("entry")
    )
    cells = {
        field.column: _cell(field, entries.columns)
        for field in NESTED[name]
        if set(field.names) & set(entries.columns)
    }
    if name == USER_PROFILES:
        # A profile's id is that of an application for many: only with the user it is one record's.
        entries, credentials = _with_credentials(entries)
        cells |= credentials
        cells[ID] = pl.concat_str(
            "_user", cells[ID], cells["credentialType"], separator="/", ignore_nulls=True
        )
    if name == ROLES:
        cells[ID] = pl.concat_str(
            [pl.col("_user"), *(cells[part].fill_null("") for part in _ROLE_ID)], separator="/"
        )
        if "userProfileSourcedId" in cells:
            cells["userProfileSourcedId"] = pl.concat_str(
                "_user", pl.lit("/"), cells["userProfileSourcedId"]
            )
    own = {"userSourcedId": pl.col("_user"), **cells, **{k: pl.col(k) for k in COMMON[1:]}}
    return entries.select(
        own.get(column, pl.lit(None, pl.String)).alias(column) for column in _columns_of(name)
    )


_ROLE_ID = ("orgSourcedId", "role", "roleType")
"""What tells a user's roles apart: they have no id of their own in the API."""


def _with_credentials(profiles: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, pl.Expr]]:
    """Returns a line for each credential of a profile, and its cells; one without has a line."""
    opened = profiles.explode(CREDENTIALS).with_columns(
        pl.col(CREDENTIALS).struct.rename_fields(
            [f"credential {field.names[0]}" for field in CREDENTIAL_FIELDS]
        )
    )
    cells = {
        field.column: _blank_as_null(pl.col(f"credential {field.names[0]}"))
        for field in CREDENTIAL_FIELDS
    }
    return opened.unnest(CREDENTIALS), cells


def _columns_of(name: str) -> list[str]:
    feed = next(feed for feed in oneroster.FEEDS if feed.name == f"{oneroster.NAME}_{name}")
    return [*feed.columns]


# --- files ----------------------------------------------------------------------------------------


def append_lines(file: IO[bytes], lines: pl.DataFrame, *, header: bool) -> None:
    """Writes lines to the end of a file, with its header if it is the beginning."""
    lines.write_csv(file, include_header=header, quote_style="necessary", null_value="")


def write_manifest(path: Path, version: str, modes: Mapping[str, str]) -> None:
    """Writes the manifest of a set: ``modes`` has the files that are in it."""
    names = {feed.stems[0] for feed in oneroster.FEEDS if feed is not oneroster.MANIFEST}
    names = {*names, *LEFT_ALONE_FILES}
    if version == VERSION_1_1:
        names -= _SINCE_1_2
    said = {
        "manifest.version": "1.0",
        "oneroster.version": version,
        **{f"file.{name}": modes.get(name, "absent") for name in sorted(names, key=str.lower)},
        "source.systemName": "OneRoster API",
    }
    pl.DataFrame({"propertyName": list(said), "value": list(said.values())}).write_csv(path)


_SINCE_1_2 = frozenset(
    {
        "lineItemLearningObjectiveIds", "lineItemScoreScales", "resultLearningObjectiveIds",
        "resultScoreScales", "roles", "scoreScales", "userProfiles", "userResources",
    }
)  # fmt: skip
