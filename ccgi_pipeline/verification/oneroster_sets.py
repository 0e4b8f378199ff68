"""OneRoster drops as wholes: their version, each file's mode, and what is wrong with the set.

Belongs here: what manifest, names and lines say together. Does not belong here: reading a file
(drop_files), judging a line (validation).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

import polars as pl

from ccgi_pipeline.common.packed_frames import Rows, frames_of
from ccgi_pipeline.feeds import file_rules, oneroster
from ccgi_pipeline.feeds.oneroster import package_rules
from ccgi_pipeline.feeds.oneroster.header_rules import FOREIGN
from ccgi_pipeline.feeds.oneroster.rules import PROPERTIES_OF_FILES
from ccgi_pipeline.feeds.registry import FAMILIES
from ccgi_pipeline.feeds.spec import FILE, FeedSpec
from ccgi_pipeline.intake.findings import Finding, findings_frame
from ccgi_pipeline.intake.reader import Reading
from ccgi_pipeline.intake.record_lines import LINE
from ccgi_pipeline.profiles import Profiles
from ccgi_pipeline.verification.drop_files import FileToVerify, read_files

FACTS_SCHEMA = {FILE: pl.UInt32, "_edition": pl.String, "_delta": pl.Boolean}
"""What rules see of a file: its version, and whether it holds changes only."""

JUDGED_AS_SETS = frozenset(
    family.name for family in FAMILIES.values() if family.drop_rules == "oneroster_sets"
)
"""Families whose declaration names this module for their drops."""

OF_WHOLE_FILES = frozenset(rule.id for name in JUDGED_AS_SETS for rule in FAMILIES[name].rules)
"""Rules about files: as an error, one of them keeps every line of its file out."""

_OLDEST, _USUAL, _NEWEST = "1.0", "1.1", "1.2"
_ASKED_FOR = (
    oneroster.ORGS,
    oneroster.ACADEMIC_SESSIONS,
    oneroster.COURSES,
    oneroster.CLASSES,
    oneroster.USERS,
    oneroster.ENROLLMENTS,
)
"""The six files that CCGI's page asks for (``sources``)."""


class OneRosterSets:
    """The OneRoster drops among ``files``; ``readings`` are of all files, some read again."""

    def __init__(
        self,
        files: Sequence[FileToVerify],
        readings: Mapping[int, Reading],
        profiles: Profiles,
    ) -> None:
        self._profiles = profiles
        self._drops: dict[str, list[FileToVerify]] = {}
        for file in files:
            if file.family in JUDGED_AS_SETS:
                self._drops.setdefault(file.drop, []).append(file)
        self.readings = dict(readings)
        self._found: list[tuple[int, Finding]] = []
        self._facts: list[tuple[int, str, bool]] = []
        self._manifests = {drop: self._manifest(files) for drop, files in self._drops.items()}
        self._editions = {
            drop: self._edition(files, self._manifests[drop][0])
            for drop, files in self._drops.items()
        }
        self._read_again()
        self._numbers: dict[str, list[int]] = {}
        for number, reading in self.readings.items():
            if reading.feed is not None:
                self._numbers.setdefault(reading.feed.name, []).append(number)
        self._foreign = {drop for drop, files in self._drops.items() if self._is_foreign(files)}
        for drop in self._drops:
            self._take(drop)

    @property
    def facts(self) -> pl.DataFrame:
        """A row of ``FACTS_SCHEMA`` for each file."""
        return pl.DataFrame(self._facts, schema=FACTS_SCHEMA, orient="row")

    @property
    def findings(self) -> pl.DataFrame:
        """What is wrong with the drops, with ``_file`` first."""
        numbers = pl.Series(FILE, [number for number, _ in self._found], dtype=pl.UInt32)
        return findings_frame(found for _, found in self._found).select(numbers, pl.all())

    def readings_of(self, feed: FeedSpec) -> dict[int, Reading]:
        """Returns the readings of the files of a feed, by number."""
        return {number: self.readings[number] for number in self._numbers.get(feed.name, ())}

    def refuse(self, numbers: Iterable[int]) -> None:
        """Keeps every line of these files out."""
        for number in numbers:
            reading = self.readings[number]
            self.readings[number] = replace(reading, records=None, unreadable=reading.lines)

    def files_that_only_add(self) -> set[int]:
        """The files of senders whose profile says that a missing record is not gone."""
        return {
            file.number
            for drop in self._drops.values()
            for file in drop
            if self._profiles.of(file.sender).oneroster.adds_only
        }

    def senders_with_american_dates(self, senders: Iterable[str]) -> list[str]:
        """Those of ``senders`` whose profile says that they write dates as MM/DD/YYYY."""
        return [s for s in senders if self._profiles.of(s).oneroster.date_form == "MM/DD/YYYY"]

    def _take(self, identity: str) -> None:
        drop, edition = self._drops[identity], self._editions[identity]
        declared, lines = self._manifests[identity]
        self._refuse_second_files(drop)
        if identity in self._foreign:
            self._refuse_foreign(drop)
            return
        for file in drop:
            reading = self.readings[file.number]
            if reading.feed is None:
                self._tell(file, [Finding(package_rules.LEFT_ALONE)] if reading.left_alone else [])
                continue
            word = declared.get(_property(reading.feed))
            delta = reading.feed.may_be_changes and self._is_delta(file, word)
            self._facts.append((file.number, reading.edition or edition, delta))
            self._tell(file, self._of_file(file, word, delta=delta))
        of_set = [file for file in drop if not file.correction]
        if not of_set:
            return  # a few lines that were mended are not expected to be a set
        manifest = self._file_of(of_set, oneroster.MANIFEST)
        told = [*self._of_drop(of_set, declared, lines, edition)]
        self._tell(manifest or of_set[0], told)
        strict = self._profiles.of(drop[0].sender).oneroster.strict
        if strict and manifest is None and told:
            self.refuse(file.number for file in drop)

    def _tell(self, file: FileToVerify, findings: Sequence[Finding] | Iterator[Finding]) -> None:
        self._found += [(file.number, found) for found in findings]

    def _file_of(self, drop: Sequence[FileToVerify], feed: FeedSpec) -> FileToVerify | None:
        by_feed = {
            read.name: file for file in reversed(drop) if (read := self.readings[file.number].feed)
        }
        return by_feed.get(feed.name)

    def _manifest(self, drop: Sequence[FileToVerify]) -> tuple[dict[str, str], dict[str, int]]:
        """What the manifest says by property, and on which line it says so."""
        file = self._file_of(drop, oneroster.MANIFEST)
        records = self.readings[file.number].records if file else None
        if records is None:
            return {}, {}
        said = (
            records.select("propertyName", "value", LINE)
            .drop_nulls("propertyName")
            .unique("propertyName", keep="first", maintain_order=True)
        )
        words = {name: (value or "").lower() for name, value, _ in said.iter_rows()}
        return words, {name: line for name, _, line in said.iter_rows()}

    def _edition(self, drop: Sequence[FileToVerify], declared: Mapping[str, str]) -> str:
        """The version of the set: by its headers, its manifest, the files that it has."""
        shown = {self.readings[file.number].edition for file in drop}
        later = {oneroster.ROLES.name, oneroster.USER_PROFILES.name}
        feeds = {feed.name for f in drop if (feed := self.readings[f.number].feed)}
        said = declared.get("oneroster.version", "")
        if _NEWEST in shown or said.startswith(_NEWEST) or later & feeds:
            return _NEWEST
        # One old name of a column does not make a set old whose manifest says otherwise.
        return _OLDEST if _OLDEST in shown and not said.startswith(_USUAL) else _USUAL

    def _read_again(self) -> None:
        """Reads files as of their set's version whose own header does not show it."""
        again = [
            file
            for drop, files in self._drops.items()
            for file in files
            if (reading := self.readings[file.number]).feed
            and reading.edition != self._editions[drop]
            and (reading.edition == _OLDEST or self._editions[drop] != _USUAL)
            and any(column.editions for column in reading.feed.columns.values())
        ]
        editions = {file.number: self._editions[file.drop] for file in again}
        self.readings.update(read_files(again, self._profiles, editions))

    def _is_foreign(self, drop: Sequence[FileToVerify]) -> bool:
        """Whether a file of the drop has the header of another product."""
        return any(
            FOREIGN.id in self.readings[file.number].findings["rule"].to_list() for file in drop
        )

    def _refuse_foreign(self, drop: Sequence[FileToVerify]) -> None:
        """Keeps out all files that came with one of another product: they look alike."""
        for file in drop:
            reading = self.readings[file.number]
            if reading.feed is None:
                continue
            self._facts.append((file.number, reading.edition or _USUAL, False))
            if FOREIGN.id not in reading.findings["rule"].to_list():
                self._tell(file, [Finding(FOREIGN)])
            self.refuse([file.number])

    def _refuse_second_files(self, drop: Sequence[FileToVerify]) -> None:
        """Of several files of one kind, that with the specification's name stands, or the newest.

        Where neither name nor date decides, none does.
        """
        of_kind: dict[str, list[FileToVerify]] = {}
        for file in drop:
            if (feed := self.readings[file.number].feed) is not None:
                of_kind.setdefault(feed.name, []).append(file)
        for several in of_kind.values():
            if len(several) == 1:
                continue
            rank = {file.number: self._rank(file) for file in several}
            highest = max(rank.values())
            stands = [file for file in several if rank[file.number] == highest]
            named = highest[:2] == (True, True) or any(file.correction for file in several)
            for file in several:
                if file is stands[0] and (len(stands) == 1 or named):
                    continue
                self._tell(file, [Finding(package_rules.TWICE)])
                self.refuse([file.number])

    def _rank(self, file: FileToVerify) -> tuple[bool, bool, str]:
        return not file.correction, _has_usual_name(file, self.readings), file.sent_at

    def _is_delta(self, file: FileToVerify, word: str | None) -> bool:
        """Whether a file holds changes only.

        Cells that say something beat the manifest, blanks say nothing: if every line has a status
        and a time, they are changes, whatever the manifest says; else its word counts, and without
        one, what most lines look like.
        """
        setting = self._profiles.of(file.sender).oneroster.mode
        if setting != "by_file":
            return setting == "delta"
        records = self.readings[file.number].records
        if records is None or records.is_empty():
            return word == "delta"
        as_changes = _filled_lines(records)
        if as_changes == records.height:
            return True
        return word == "delta" or (word != "bulk" and as_changes * 2 > records.height)

    def _of_file(self, file: FileToVerify, word: str | None, *, delta: bool) -> Iterator[Finding]:
        if file.in_folder and not file.correction:
            yield Finding(package_rules.FOLDER)
        if not _has_usual_name(file, self.readings):
            yield Finding(package_rules.FILE_NAME)
        if self._profiles.of(file.sender).oneroster.strict:
            found = set(self.readings[file.number].findings["rule"])
            for rule, mended in zip(package_rules.TO_THE_LETTER, _MENDED, strict=True):
                if found & mended:
                    yield Finding(rule)
        by_file = self._profiles.of(file.sender).oneroster.mode == "by_file"
        if delta and by_file and word == "bulk":
            yield Finding(package_rules.CHANGES_AFTER_ALL)

    def _of_manifest(
        self, drop: Sequence[FileToVerify], declared: Mapping[str, str], *, alone: bool
    ) -> Iterator[Finding]:
        manifest = self._file_of(drop, oneroster.MANIFEST)
        is_read = manifest and self.readings[manifest.number].records is not None
        if is_read and "oneroster.version" not in declared:
            yield Finding(package_rules.NO_VERSION)
        elif is_read and "manifest.version" not in declared:
            yield Finding(package_rules.NO_MANIFEST_VERSION)
        if alone and not {"bulk", "delta"} & set(declared.values()):
            yield Finding(package_rules.ONLY_MANIFEST)

    def _of_absent_roles(
        self, drop: Sequence[FileToVerify], declared: Mapping[str, str]
    ) -> Iterator[Finding]:
        """A full set of users without roles: of changes, the roles may be known."""
        users = self._file_of(drop, oneroster.USERS)
        is_absent = declared.get(_property(oneroster.ROLES), "absent") == "absent"
        word = declared.get(_property(oneroster.USERS))
        if not users or not is_absent or self._is_delta(users, word):
            return
        records = self.readings[users.number].records
        if records is not None and records["role"].null_count() == records.height:
            yield Finding(package_rules.NO_ROLES)

    def _of_drop(
        self,
        drop: Sequence[FileToVerify],
        declared: Mapping[str, str],
        lines: Mapping[str, int],
        edition: str,
    ) -> Iterator[Finding]:
        sent = {feed.name: feed for f in drop if (feed := self.readings[f.number].feed)}
        if not sent:
            return
        if oneroster.MANIFEST.name not in sent:
            yield Finding(package_rules.NO_MANIFEST)
        else:
            yield from self._of_manifest(drop, declared, alone=len(sent) == 1)
        if edition == _NEWEST and oneroster.ROLES.name not in sent:
            yield from self._of_absent_roles(drop, declared)
        asked_for = (*_ASKED_FOR, oneroster.ROLES) if edition == _NEWEST else _ASKED_FOR
        for feed in oneroster.FEEDS:
            word = declared.get(_property(feed), "absent")
            line = lines.get(_property(feed))
            if not feed.may_be_changes:  # the manifest
                continue
            if feed.name in sent and declared and word == "absent":
                yield Finding(package_rules.NOT_NAMED, line=line, detail=f"{feed.stems[0]}.csv")
            if feed.name not in sent and word in {"bulk", "delta"}:
                yield Finding(package_rules.NOT_SENT, line=line, detail=f"{feed.stems[0]}.csv")
            elif feed.name not in sent and feed in asked_for and not declared:
                yield Finding(package_rules.MISSING_FILE, detail=f"{feed.stems[0]}.csv")


_MENDED = (
    {
        file_rules.WINDOWS_TEXT.id,
        file_rules.OLD_ENCODING.id,
        file_rules.MIXED_ENCODING.id,
        file_rules.SURROGATES.id,
        file_rules.UTF16.id,
    },
    {file_rules.EXTRA_CELLS.id},
    {file_rules.HEADER_ONLY.id},
)
"""The findings of a tolerant reading that ``TO_THE_LETTER`` stands for, in its order."""


def _has_usual_name(file: FileToVerify, readings: Mapping[int, Reading]) -> bool:
    """Whether the file has the very name that the specification gives it."""
    feed = readings[file.number].feed
    return feed is not None and PurePosixPath(file.path).name == f"{feed.stems[0]}.csv"


def _property(feed: FeedSpec) -> str:
    return f"{PROPERTIES_OF_FILES}{feed.stems[0]}"


def _filled_lines(records: Rows) -> int:
    """How many lines have what only changes have."""
    both = pl.col("status").is_not_null() & pl.col("dateLastModified").is_not_null()
    frames = frames_of(records, ["status", "dateLastModified"])
    return sum(int(frame.select(both.sum()).item()) for frame in frames)
