"""All causes, in the order in which they are looked for.

Belongs here: the order: what makes the rest unreadable comes first, and of two causes that would
explain one finding the more particular one. A new cause is one entry in its module.
"""

from __future__ import annotations

from collections.abc import Mapping

from ccgi_pipeline.verification.causes import codes, contents, dates, headers, lines, words
from ccgi_pipeline.verification.causes.declaration import Cause

CAUSES: tuple[Cause, ...] = (
    *contents.CAUSES,
    *headers.CAUSES,
    *words.CAUSES,
    *lines.CAUSES,
    *codes.CAUSES,
    *dates.CAUSES,
)
CAUSES_BY_ID: Mapping[str, Cause] = {cause.id: cause for cause in CAUSES}
