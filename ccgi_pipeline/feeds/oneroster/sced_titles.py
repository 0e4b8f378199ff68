"""Lists the SCED course titles that hold commas, which OneRoster's lists of subjects may not.

Belongs here: the list (``sced_titles.tsv``: code and title) and how it is read. SCED is *School
Courses for the Exchange of Data*, by the National Center for Education Statistics. Does not belong
here: what becomes of a cell that has such a title (verification).
"""

from __future__ import annotations

import csv
from importlib.resources import files


def read_titles() -> tuple[str, ...]:
    """Returns the titles with their commas, such as ``Science, Technology and Society``."""
    listed = files("ccgi_pipeline.feeds.oneroster").joinpath("sced_titles.tsv").read_text("utf-8")
    lines = (line for line in listed.splitlines() if not line.startswith("#"))
    return tuple(row["title"] for row in csv.DictReader(lines, delimiter="\t"))


TITLES = read_titles()
