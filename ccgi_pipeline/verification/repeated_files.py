"""Files of one kind that come twice in a drop: which of them counts.

Belongs here: comparing the records of such files, and the decision by the dates in their names. Two
files without common records are parts of one set, such as one for each school, and both count. Does
not belong here: families whose files have fixed names (oneroster_sets).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import polars as pl

from ccgi_pipeline.common.packed_frames import unpacked
from ccgi_pipeline.feeds import file_rules
from ccgi_pipeline.feeds.registry import FAMILIES
from ccgi_pipeline.feeds.rules import Rule
from ccgi_pipeline.feeds.spec import FILE
from ccgi_pipeline.intake.findings import FINDINGS_SCHEMA
from ccgi_pipeline.intake.reader import Reading
from ccgi_pipeline.intake.record_lines import LINE, SPAN
from ccgi_pipeline.verification.drop_files import FileToVerify

_SAME_THING = 0.5
"""The share of the smaller file's records from which on two files are the same thing."""


@dataclass
class RepeatedFiles:
    """The readings of all files, without those that do not count, and what is to be told."""

    readings: dict[int, Reading]
    _rows: list[tuple[int, str, None, None, str | None]] = field(default_factory=list)

    @property
    def findings(self) -> pl.DataFrame:
        """What is told, with ``_file`` first."""
        return pl.DataFrame(self._rows, schema={FILE: pl.UInt32, **FINDINGS_SCHEMA}, orient="row")

    def tell(self, file: FileToVerify, rule: Rule, detail: str | None) -> None:
        """Adds a finding about a whole file."""
        self._rows.append((file.number, rule.id, None, None, detail))

    def refuse(self, file: FileToVerify) -> None:
        """Keeps every line of the file out."""
        reading = self.readings[file.number]
        self.readings[file.number] = replace(reading, records=None, unreadable=reading.lines)

    def leave_alone(self, file: FileToVerify) -> None:
        """Counts the lines of the file, and takes none."""
        reading = self.readings[file.number]
        self.readings[file.number] = replace(
            reading, feed=None, records=None, unreadable=0, left_alone=reading.lines
        )


def decide_repeated_files(
    files: Sequence[FileToVerify], readings: Mapping[int, Reading]
) -> RepeatedFiles:
    """Decides for each drop of a district which of its files of one kind count.

    State-wide senders send many files of one kind, whose records add up.
    """
    compared = {
        family.name
        for family in FAMILIES.values()
        if family.sender is None and family.drop_rules is None and not family.independent_files
    }
    decided = RepeatedFiles(dict(readings))
    of_kind: dict[tuple[str, str], list[FileToVerify]] = {}
    for file in files:
        reading = readings[file.number]
        if reading.feed and not file.correction and file.family in compared:
            of_kind.setdefault((file.drop, reading.feed.name), []).append(file)
    for several in of_kind.values():
        with_records = [file for file in several if _has_records(readings[file.number])]
        sharing = _files_with_common_records(with_records, decided)
        if len(sharing) > 1:
            _decide(sharing, decided)
    return decided


def _has_records(reading: Reading) -> bool:
    return reading.records is not None and not reading.records.is_empty()


def _files_with_common_records(
    files: Sequence[FileToVerify], decided: RepeatedFiles
) -> list[FileToVerify]:
    """Returns the files that have a record which another one has too; one pass over all keys."""
    if len(files) < _SEVERAL:
        return []
    feed = decided.readings[files[0].number].feed
    keys = list(feed.keys) if feed else []
    numbered = pl.concat(
        _records(file, decided).select(*keys, pl.lit(file.number).alias(FILE)).drop_nulls().unique()
        for file in files
    )
    common = set(numbered.filter(pl.struct(keys).is_duplicated())[FILE])
    return [file for file in files if file.number in common]


_SEVERAL = 2


def _decide(files: Sequence[FileToVerify], decided: RepeatedFiles) -> None:
    by_time = sorted(files, key=lambda file: (file.sent_at, file.number))
    kept: list[FileToVerify] = []
    for file in reversed(by_time):
        rivals = [other for other in kept if _share(file, other, decided) >= _SAME_THING]
        if not rivals:
            kept.append(file)
        elif any(_is_same(file, other, decided) for other in rivals):
            decided.tell(file, file_rules.TWICE_SAME, None)
            decided.leave_alone(file)
        elif all(file.sent_at and file.sent_at < other.sent_at for other in rivals):
            decided.tell(file, file_rules.TWICE_OLDER, None)
            decided.leave_alone(file)
        else:
            kept.append(file)
    refused = [
        (file, other)
        for file in kept
        for other in kept
        if other is not file and _share(file, other, decided) >= _SAME_THING
    ]
    for file in dict.fromkeys(file for file, _ in refused):
        names = sorted({other.name for one, other in refused if one is file})
        decided.tell(file, file_rules.TWICE, f"the other file: {', '.join(names)}")
    some = [
        file
        for file in kept
        if any(other is not file and _contradicts(file, other, decided) for other in kept)
        and file not in {one for one, _ in refused}
    ]
    for file in {one.number: one for one, _ in refused}.values():
        decided.refuse(file)
    for file in some:
        decided.tell(file, file_rules.TWICE_RECORDS, None)


def _records(file: FileToVerify, decided: RepeatedFiles) -> pl.DataFrame:
    records = decided.readings[file.number].records
    return pl.DataFrame() if records is None else unpacked(records).drop(LINE, SPAN)


def _share(file: FileToVerify, other: FileToVerify, decided: RepeatedFiles) -> float:
    """Returns the share of the smaller file's records that the other one has too."""
    feed = decided.readings[file.number].feed
    if feed is None:
        return 0.0
    keys = list(feed.keys)
    one, two = (
        _records(each, decided).select(keys).drop_nulls().unique() for each in (file, other)
    )
    common = one.join(two, on=keys, how="semi").height
    return common / max(1, min(one.height, two.height))


def _is_same(file: FileToVerify, other: FileToVerify, decided: RepeatedFiles) -> bool:
    one, two = _records(file, decided), _records(other, decided)
    return one.height == two.height and one.sort(one.columns).equals(two.sort(two.columns))


def _contradicts(file: FileToVerify, other: FileToVerify, decided: RepeatedFiles) -> bool:
    """Returns whether a record of the file has other values in the other one."""
    feed = decided.readings[file.number].feed
    if feed is None:
        return False
    one, two = _records(file, decided), _records(other, decided)
    common = one.join(two, on=list(feed.keys), how="semi")
    return not common.join(two, on=one.columns, how="anti", nulls_equal=True).is_empty()
