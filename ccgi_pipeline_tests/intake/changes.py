"""Changes of files at random, for the properties of reading and of verification.

Belongs here: the strategy of changes, what they do to bytes, and how many examples are looked at.
The examples are the same in every run, so that a run never fails by chance; raise ``max_examples``
to look further.
"""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st

PROFILE = settings(max_examples=60, deadline=None, derandomize=True, database=None)

Change = tuple[str, int, bytes]
"""What is done, where, and with which bytes."""

_HARMFUL = st.sampled_from(
    [
        b'"', b'""', b"'", b",", b"^", b"\t", b";", b"\n", b"\r", b"\r\n", b"\n\n", b"\x00",
        b"\xff", b"\x81", b"\xc3", b"\xef\xbb\xbf", b"\xff\xfe", b"\x1f", b"\x1a", b" ",
    ]
)  # fmt: skip
CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["insert", "delete", "replace"]),
        st.integers(0, 10_000),
        st.one_of(_HARMFUL, st.binary(min_size=1, max_size=4)),
    ),
    min_size=1,
    max_size=8,
)


def mutated(content: bytes, changes: list[Change]) -> bytes:
    """``content`` with bytes put in, taken out and replaced; places are counted round the end."""
    changed = bytearray(content)
    for action, place, octets in changes:
        start = place % (len(changed) + 1)
        end = start if action == "insert" else start + len(octets)
        changed[start:end] = b"" if action == "delete" else octets
    return bytes(changed)
