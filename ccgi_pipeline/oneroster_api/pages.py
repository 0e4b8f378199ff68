"""Reads an answer as a page of records, whatever form the server gives them. Pure.

Belongs here: telling a page from an error, and records of other shapes than the binding's. Does not
belong here: whether the pages make a whole (``completeness``), what their cells mean
(``csv_files``).

A page of the binding's shape is read by polars, outside of Python. Any other page is read record by
record, and brought into that shape. A message never repeats what an answer holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
import pydantic_core

from ccgi_pipeline.common.errors import library_errors
from ccgi_pipeline.oneroster_api.collections import (
    CREDENTIAL_FIELDS,
    CREDENTIALS,
    ID,
    NESTED,
    USER_PROFILES,
    ApiCollection,
    ApiField,
    FieldKind,
)

_TEXT = pl.String()
_REFERENCE = pl.Struct({ID: pl.String})
_ID_PAIR = pl.Struct({"type": pl.String, "identifier": pl.String})
_DTYPES: Mapping[FieldKind, pl.DataType] = {
    FieldKind.TEXT: _TEXT,
    FieldKind.DATE: _TEXT,
    FieldKind.MOMENT: _TEXT,
    FieldKind.REFERENCE: _REFERENCE,
    FieldKind.REFERENCES: pl.List(_REFERENCE),
    FieldKind.LIST: pl.List(pl.String),
    FieldKind.IDS: pl.List(_ID_PAIR),
}
_FLAT: Mapping[FieldKind, pl.DataType] = {
    FieldKind.REFERENCE: _TEXT,
    FieldKind.REFERENCES: pl.List(pl.String),
}
"""How a reference is sent by servers that send the CSV binding as JSON."""


class PageFault(Exception):  # noqa: N818 - a fault of an answer, that the caller judges
    """An answer is no page of the collection. The message says why, without a value of it."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The shape in which a collection's records are read: the dtype of each field by name."""

    name: str
    fields: Mapping[str, pl.DataType]

    @property
    def dtype(self) -> pl.DataType:
        """The list of records."""
        return pl.List(pl.Struct(dict(self.fields)))


def build_shape(collection: ApiCollection, nested: Sequence[str] = ()) -> Shape:
    """Returns the shape of a collection; ``nested``: lists in its records that are read, too."""
    fields = _fields_of(collection.fields)
    for name in nested:
        inner = _fields_of(NESTED[name])
        if name == USER_PROFILES:
            inner[CREDENTIALS] = pl.List(pl.Struct(_fields_of(CREDENTIAL_FIELDS)))
        elif USER_PROFILES not in nested:
            inner.pop("userProfile", None)
            inner.pop("userProfileSourcedId", None)
        fields[name] = pl.List(pl.Struct(inner))
    return Shape(collection.name, fields)


def _fields_of(fields: Iterable[ApiField]) -> dict[str, pl.DataType]:
    found: dict[str, pl.DataType] = {}
    for field in fields:
        for name in field.names:
            found[name] = _DTYPES[field.kind]
        if field.kind in _FLAT:
            found[field.column] = _FLAT[field.kind]
    return found


def read_page(body: bytes, shape: Shape) -> pl.DataFrame:
    """Returns the records of an answer, a column a field. Raises PageFault."""
    answer = _read_at_once(body, shape)
    # After the except block: an error would be shown with the record that polars quotes.
    if answer is None or answer.height != 1 or answer[shape.name].null_count():
        return _read_record_by_record(body, shape)
    records = answer[shape.name].explode(empty_as_null=False)
    if records.null_count():
        msg = "the list holds something that is no record"
        raise PageFault(msg)
    return records.struct.unnest()


def _read_at_once(body: bytes, shape: Shape) -> pl.DataFrame | None:
    """Returns an answer of the binding's shape; None for any other, and for what polars changes.

    It makes a NUL of half a character that is written as an escape.
    """
    if b"\\u" in body and (b"\\ud" in body or b"\\uD" in body):
        return None
    try:
        return pl.read_json(body, schema={shape.name: shape.dtype})
    except library_errors():
        return None


# --- answers of another shape ---------------------------------------------------------------------


def _read_record_by_record(body: bytes, shape: Shape) -> pl.DataFrame:
    records = find_records(body, shape.name)
    if not all(isinstance(record, dict) for record in records):
        msg = "the list holds something that is no record"
        raise PageFault(msg)
    rows = [_in_shape(record, shape.fields) for record in records]
    return pl.DataFrame(rows, schema=dict(shape.fields), orient="row")


def find_records(body: bytes, name: str) -> list[Any]:
    """Returns the list of a collection in an answer. Raises PageFault."""
    answer = parse_json(body)
    if isinstance(answer, list):
        return answer
    if not isinstance(answer, dict):
        msg = "the answer is no list of records"
        raise PageFault(msg)
    found = next((answer[key] for key in answer if key.casefold() == name.casefold()), None)
    if isinstance(found, list):
        return found
    if is_status_info(answer):
        msg = "the server sent an error in the place of records"
        raise PageFault(msg)
    msg = f'the answer has no list "{name}"'
    raise PageFault(msg)


def parse_json(body: bytes) -> Any:  # noqa: ANN401 - whatever JSON holds
    """Returns what an answer holds. Raises PageFault if it is no JSON."""
    try:
        return pydantic_core.from_json(body.removeprefix(b"\xef\xbb\xbf"))
    except ValueError:
        pass
    web_page = body.lstrip()[:1] == b"<"
    what = "a web page" if web_page else "no JSON, or it breaks off"
    msg = f"the answer is {what}"
    raise PageFault(msg)


def is_status_info(answer: object) -> bool:
    """Returns whether an answer is one of OneRoster's error objects."""
    return isinstance(answer, dict) and any(key.startswith("imsx_") for key in answer)


def _in_shape(record: Mapping[str, Any], fields: Mapping[str, pl.DataType]) -> dict[str, Any]:
    return {name: _shaped(name, record.get(name), dtype) for name, dtype in fields.items()}


def _shaped(name: str, value: Any, dtype: pl.DataType) -> Any:  # noqa: ANN401 - JSON
    """Returns a value in the shape of its field. Raises PageFault if it cannot have it."""
    if value is None or value in ([], {}) or (value == "" and dtype != _TEXT):
        return None
    if isinstance(dtype, pl.List):
        entries = value if isinstance(value, list) else [value]
        inner = dtype.inner
        return [_shaped(name, entry, _as_dtype(inner)) for entry in entries]
    if isinstance(dtype, pl.Struct):
        if isinstance(value, dict):
            return _in_shape(value, {field.name: _as_dtype(field.dtype) for field in dtype.fields})
        if dtype == _REFERENCE:
            return {ID: _as_text(name, value)}
        msg = f"the field {name} of a record is no object"
        raise PageFault(msg)
    return _as_text(name, value)


def _as_dtype(dtype: Any) -> pl.DataType:  # noqa: ANN401 - polars gives a class or an instance
    return dtype() if isinstance(dtype, type) else dtype  # type: ignore[no-any-return]


def _as_text(name: str, value: object) -> str:
    """Returns a text, number or truth value as JSON writes it, without quotation marks."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], str):
        return value[0]
    msg = f"the field {name} of a record is a list or an object, where a text belongs"
    raise PageFault(msg)
