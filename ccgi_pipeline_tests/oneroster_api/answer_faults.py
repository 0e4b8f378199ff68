"""What faults of bodies, encodings, lengths and sizes do.

Belongs here: effects on a finished answer. Does not belong here: their names (faults), which rows
it has (paging_faults), and when there is no answer (access_faults).
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import chain, repeat

from ccgi_pipeline_tests.oneroster_api.exchanges import (
    Answer,
    Exchange,
    as_error,
    as_html,
)
from ccgi_pipeline_tests.oneroster_api.faults import Effect, Fault, Stage, at

_BLANKS = b" " * 2**16


def _later(effect: Effect) -> Effect:
    """Has an effect on later pages only."""

    def limited(exchange: Exchange, answer: Answer) -> Answer:
        return effect(exchange, answer) if exchange.later and answer.status < 400 else answer

    return limited


def _items(answer: Answer) -> bytes:
    """The list of an answer, with its brackets; all of it, if another fault left no list."""
    if b"[" not in answer.body or b"]" not in answer.body:
        return answer.body
    return answer.body[answer.body.index(b"[") : answer.body.rindex(b"]") + 1]


def _headers(answer: Answer, **headers: str) -> dict[str, str]:
    return {**answer.headers, **{name.replace("_", "-"): own for name, own in headers.items()}}


@at(Stage.ANSWER, Fault.HTML_200)
@_later
def _html(_exchange: Exchange, _answer: Answer) -> Answer:
    return as_html(200)


@at(Stage.ANSWER, Fault.HTML_AS_JSON)
@_later
def _html_as_json(_exchange: Exchange, answer: Answer) -> Answer:
    return replace(answer, body=as_html(200).body)


@at(Stage.ANSWER, Fault.ERROR_200)
@_later
def _error_200(exchange: Exchange, _answer: Answer) -> Answer:
    said = as_error(exchange.server.version, 200, "internal_server_error", "something went wrong")
    return replace(said, status=200)


@at(Stage.ANSWER, Fault.EMPTY_BODY)
@_later
def _empty_body(_exchange: Exchange, answer: Answer) -> Answer:
    return replace(answer, body=b"")


@at(Stage.ANSWER, Fault.NO_CONTENT)
@_later
def _no_content(_exchange: Exchange, answer: Answer) -> Answer:
    kept = {name: own for name, own in answer.headers.items() if name != "Content-Type"}
    return replace(answer, status=204, headers=kept, body=b"")


@at(Stage.ANSWER, Fault.JSON_TRUNCATED)
@_later
def _truncate(_exchange: Exchange, answer: Answer) -> Answer:
    return replace(answer, body=answer.body[: len(answer.body) * 2 // 3])


@at(Stage.ANSWER, Fault.CONTENT_TYPE_TEXT)
@_later
def _plain(_exchange: Exchange, answer: Answer) -> Answer:
    return replace(answer, headers=_headers(answer, Content_Type="text/plain"))


@at(Stage.ANSWER, Fault.LENGTH_LONG)
@_later
def _long(_exchange: Exchange, answer: Answer) -> Answer:
    length = str(len(answer.body) + 100)
    return replace(answer, headers=_headers(answer, Content_Length=length), cut=len(answer.body))


@at(Stage.ANSWER, Fault.LENGTH_SHORT)
@_later
def _short(_exchange: Exchange, answer: Answer) -> Answer:
    length = str(max(0, len(answer.body) - 40))
    return replace(
        answer,
        headers=_headers(answer, Content_Length=length, Connection="close"),
        cut=len(answer.body),
    )


@at(Stage.ANSWER, Fault.ENVELOPE_NAME, Fault.ENVELOPE_CASE)
def _rename(exchange: Exchange, answer: Answer) -> Answer:
    if answer.status >= 400:
        return answer
    other = "data" if exchange.fault is Fault.ENVELOPE_NAME else exchange.key.upper()
    own = f'"{exchange.key}"'.encode()
    return replace(answer, body=answer.body.replace(own, f'"{other}"'.encode(), 1))


@at(Stage.ANSWER, Fault.ENVELOPE_NONE)
def _bare(_exchange: Exchange, answer: Answer) -> Answer:
    return answer if answer.status >= 400 else replace(answer, body=_items(answer))


@at(Stage.ANSWER, Fault.SINGLE_OBJECT)
@_later
def _single(exchange: Exchange, answer: Answer) -> Answer:
    first = exchange.chosen[exchange.offset] if exchange.offset < len(exchange.chosen) else None
    if first is None:
        return answer
    return replace(answer, body=b'{"%s": %s}' % (exchange.key.encode(), first.text))


@at(Stage.ANSWER, Fault.KEY_TWICE)
@_later
def _key_twice(exchange: Exchange, answer: Answer) -> Answer:
    page = exchange.chosen[exchange.offset : exchange.offset + exchange.limit]
    half = len(page) // 2
    parts = (
        b'"%s": [%s]' % (exchange.key.encode(), b", ".join(record.text for record in part))
        for part in (page[:half], page[half:])
    )
    return replace(answer, body=b"{%s}" % b", ".join(parts))


# --- encodings --------------------------------------------------------------------------------


@at(Stage.ANSWER, Fault.BYTE_ORDER_MARK)
def _mark(_exchange: Exchange, answer: Answer) -> Answer:
    return replace(answer, body=b"\xef\xbb\xbf" + answer.body)


@at(Stage.ANSWER, Fault.UTF_16)
@_later
def _utf_16(_exchange: Exchange, answer: Answer) -> Answer:
    return replace(answer, body=answer.body.decode(errors="replace").encode("utf-16"))


@at(Stage.ANSWER, Fault.LATIN_1)
@_later
def _latin_1(_exchange: Exchange, answer: Answer) -> Answer:
    text = answer.body.decode(errors="replace").replace(
        '"active"', '"active", "note": "Mu\u00f1oz"', 1
    )
    return replace(answer, body=text.encode("iso8859-1", errors="replace"))


# --- sizes ------------------------------------------------------------------------------------


@cache
def _bomb_parts() -> tuple[bytes, bytes]:
    """The beginning of a gzip stream, and a part of it that may follow any number of times."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    begun = packer.compress(b" ") + packer.flush(zlib.Z_FULL_FLUSH)
    return begun, packer.compress(b" " * 2**26) + packer.flush(zlib.Z_FULL_FLUSH)


def _bomb() -> Iterator[bytes]:
    begun, part = _bomb_parts()
    return chain([begun], repeat(part))


@at(Stage.ANSWER, Fault.GZIP_BOMB)
@_later
def _gzip_bomb(_exchange: Exchange, answer: Answer) -> Answer:
    headers = _headers(answer, Content_Encoding="gzip", Transfer_Encoding="chunked")
    return replace(answer, headers=headers, body=b"", endless=_bomb())


@at(Stage.ANSWER, Fault.HUGE_PAGE)
@_later
def _huge(_exchange: Exchange, answer: Answer) -> Answer:
    headers = _headers(answer, Transfer_Encoding="chunked")
    return replace(answer, headers=headers, endless=repeat(_BLANKS))


@at(Stage.ANSWER, Fault.COMPRESSED)
def _compressed(_exchange: Exchange, answer: Answer) -> Answer:
    headers = _headers(answer, Content_Encoding="gzip")
    return replace(answer, headers=headers, body=gzip.compress(answer.body, 1))


@at(Stage.ANSWER, Fault.CHUNKED)
def _chunked(_exchange: Exchange, answer: Answer) -> Answer:
    return replace(answer, headers=_headers(answer, Transfer_Encoding="chunked"))


@at(Stage.ANSWER, Fault.HEADERS_HUGE)
@_later
def _huge_headers(_exchange: Exchange, answer: Answer) -> Answer:
    many = {f"X-Padding-{number}": "x" * 6000 for number in range(50)}
    return replace(answer, headers={**answer.headers, **many})


_ODD = {
    Fault.DEEP_NESTING: b"[" * 100_000 + b"]" * 100_000,
    Fault.HUGE_NUMBER: b"9" * 5_000,
    Fault.NOT_A_NUMBER: b"NaN",
}


@at(Stage.ANSWER, *_ODD)
@_later
def _odd_value(exchange: Exchange, answer: Answer) -> Answer:
    odd = b'"active", "metadata": {"odd": %s}' % _ODD[exchange.fault]
    body = answer.body.replace(b'"active"', odd, 1)
    return replace(answer, body=body)
