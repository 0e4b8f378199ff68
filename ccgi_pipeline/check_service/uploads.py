"""Uploads: a form with files, written into a folder while it arrives, never whole in memory.

Belongs here: taking the form apart within its limits, and which names of files are used. Does not
belong here: what is judged, and how (``worker``).
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from ccgi_pipeline.check_service import refusals
from ccgi_pipeline.check_service.refusals import RefusedError
from ccgi_pipeline.check_service.settings import MOST_FILES, CheckSettings

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

_LONGEST_FIELD = 200
"""Bytes of a field that is no file."""
_LONGEST_NAME = 200
"""Bytes of a file's name; systems allow 255."""
_MOST_FIELDS = 20
_FRAME = 1 << 20
"""Bytes of a form besides its files: the heads of its parts, and fields."""
_OWN = 0o600


@dataclass(slots=True)
class Upload:
    """What came: the names of the files in the folder, and the other fields."""

    names: list[str] = field(default_factory=list)
    fields: dict[str, str] = field(default_factory=dict)


def largest_request(settings: CheckSettings) -> int:
    """Returns how many bytes a whole request may have."""
    return settings.largest + _FRAME


def require_form(content_type: str, declared: str | None, settings: CheckSettings) -> bytes:
    """Returns the boundary of a form's parts; refuses what is no form or is declared too large."""
    kind, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not boundary:
        raise RefusedError(refusals.NO_FORM)
    if declared is not None and int(declared) > largest_request(settings):
        raise RefusedError(refusals.TOO_LARGE)
    return boundary


async def receive_upload(
    pieces: AsyncIterator[bytes], boundary: bytes, folder: Path, settings: CheckSettings
) -> Upload:
    """Writes the files of a form into ``folder``, and returns their names and the other fields."""
    form = _Form(folder, settings)
    try:
        parser = MultipartParser(boundary, form.callbacks())
        began = asyncio.get_running_loop().time()
        received = 0
        while True:
            # Who sends nothing, or a byte now and then, is as late as who sends slowly.
            late = began + settings.grace + received / settings.slowest
            async with asyncio.timeout_at(late):
                piece = await anext(pieces, None)
            if piece is None:
                break
            received += len(piece)
            if received > largest_request(settings):
                raise RefusedError(refusals.TOO_LARGE)
            parser.write(piece)
    except TimeoutError:
        raise RefusedError(refusals.TOO_SLOW) from None
    except FormParserError:
        raise RefusedError(refusals.BROKEN_FORM) from None
    except OSError as error:
        room = error.errno in {errno.ENOSPC, errno.EDQUOT}
        raise RefusedError(refusals.NO_ROOM if room else refusals.FAULT) from None
    finally:
        form.close()
    return form.finish()


class _Form:
    """The parts of a form as they come."""

    def __init__(self, folder: Path, settings: CheckSettings) -> None:
        self._folder, self._largest = folder, settings.largest
        self._upload = Upload()
        self._file: int | None = None
        self._field: str | None = None
        self._header, self._value = bytearray(), bytearray()
        self._headers: dict[bytes, bytes] = {}
        self._fields = self._bytes = 0
        self._complete = False

    def callbacks(self) -> MultipartCallbacks:
        """Returns what the parser calls."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._collect(self._header),
            "on_header_value": self._collect(self._value),
            "on_header_end": self._end_header,
            "on_headers_finished": self._open,
            "on_part_data": self._write,
            "on_part_end": self.close,
            "on_end": self._end,
        }

    def _begin(self) -> None:
        self._headers = {}

    def _collect(self, into: bytearray) -> Callable[[bytes, int, int], None]:
        def collect(data: bytes, start: int, end: int) -> None:
            into.extend(data[start:end])

        return collect

    def _end_header(self) -> None:
        self._headers[bytes(self._header).lower()] = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def _open(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        sent = options.get(b"filename")
        if sent is None:
            self._fields += 1
            if self._fields > _MOST_FIELDS:
                raise RefusedError(refusals.BROKEN_FORM)
            self._field = options.get(b"name", b"").decode(errors="replace")
            self._upload.fields[self._field] = ""
        elif sent:  # a browser sends an empty name if no file was chosen
            if len(self._upload.names) >= MOST_FILES:
                raise RefusedError(refusals.TOO_MANY_FILES)
            name = choose_name(sent)
            self._file = self._create(name)
            self._upload.names.append(name)

    def _create(self, name: str) -> int:
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
            return os.open(self._folder / name, flags, _OWN)
        except FileExistsError:
            raise RefusedError(refusals.SAME_NAME) from None

    def _write(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None:
            self._bytes += end - start
            if self._bytes > self._largest:
                raise RefusedError(refusals.TOO_LARGE)
            left = memoryview(data)[start:end]
            while left:
                left = left[os.write(self._file, left) :]
        elif self._field is not None:
            text = self._upload.fields[self._field] + data[start:end].decode(errors="replace")
            if len(text) > _LONGEST_FIELD:
                raise RefusedError(refusals.BROKEN_FORM)
            self._upload.fields[self._field] = text

    def close(self) -> None:
        """Ends a part."""
        if self._file is not None:
            os.close(self._file)
        self._file = self._field = None

    def _end(self) -> None:
        self._complete = True

    def finish(self) -> Upload:
        """Returns what came, if all of it did."""
        if not self._complete:
            raise RefusedError(refusals.BROKEN_FORM)
        if not self._upload.names:
            raise RefusedError(refusals.NO_FILE)
        return self._upload


def choose_name(sent: bytes) -> str:
    """Returns the name under which a file is written and judged: as sent, without its folders.

    A file is recognised by its name, so no other is made up for it. What cannot be a name is
    refused.
    """
    name = sent.decode(errors="surrogateescape").replace("\\", "/").rpartition("/")[2]
    if name in {"", ".", ".."} or "\0" in name or len(os.fsencode(name)) > _LONGEST_NAME:
        raise RefusedError(refusals.NAME)
    return name
