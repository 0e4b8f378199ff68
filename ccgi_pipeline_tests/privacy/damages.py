"""Files of canaries, damaged in every way of which the reader speaks.

Belongs here: damage that leaves each canary whole, so that it can be found wherever it gets to.
Does not belong here: damage whose place a receipt must name (``night.damage``).
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator

from ccgi_pipeline.feeds.spec import FeedSpec


def damaged(feed: FeedSpec, whole: bytes, mark: bytes) -> Iterator[bytes]:
    """``whole``, a file of ``feed`` with a header and at least two lines, damaged in many ways.

    ``mark`` begins the canaries; what breaks a cell is put in front of it.
    """
    separator = feed.separators[0].encode()
    header, _, rest = whole.partition(b"\n")
    first, _, others = rest.partition(b"\n")
    yield whole
    yield rest
    yield header + b"\n"
    yield header + first + b"\n" + others
    yield header + separator + first + b"\n" + others
    yield header + separator + header + b"\n" + rest
    yield header.rpartition(separator)[0] + b"\n" + rest
    yield header.partition(separator)[2] + b"\n" + rest
    yield whole.replace(separator, b"|")
    yield whole.replace(b"\n", b" ")
    yield header + b"\n" + rest.replace(separator, separator + separator)
    yield header + b"\n" + rest.replace(separator, b"")
    yield header + b"\n" + rest.replace(mark, b'x"' + mark)
    yield header + b"\n" + rest.replace(mark, b"x\x00" + mark)
    yield header + b"\n" + rest.replace(mark, b"x\n" + mark)
    yield header + b"\n" + rest.replace(b"\n", separator + separator + b"\n")
    yield header + b"\n\n" + first + b"\n" + header + b"\n" + others[:-9]
    yield codecs.BOM_UTF16_LE + whole.decode().encode("utf-16-le")
    yield whole.replace(mark, b"\xf1" + mark)
    yield whole.replace(mark, b"\x81" + mark)
    yield whole.replace(b"\n", b"\r")
