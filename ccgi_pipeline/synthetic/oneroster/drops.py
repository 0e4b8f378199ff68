"""Writes a district's OneRoster drops: a set of files for each day, packed as the district does.

Belongs here: which lines go into which day's file, the manifest, zips and folders. Does not belong
here: the lines themselves, and writing text (file_output).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import polars as pl

from ccgi_pipeline.feeds import oneroster
from ccgi_pipeline.feeds.oneroster.package_rules import LEFT_ALONE_FILES
from ccgi_pipeline.feeds.oneroster.vocabulary import GONE
from ccgi_pipeline.feeds.spec import FeedSpec
from ccgi_pipeline.synthetic.file_output import FeedFile, pack
from ccgi_pipeline.synthetic.oneroster.export_styles import VERSION_1_1, way_of
from ccgi_pipeline.synthetic.oneroster.students import SINCE, UNTIL
from ccgi_pipeline.synthetic.places import Place

_FOLDER_IN_ZIP = "OneRoster"
_FAST = 1
"""Level of compression: rosters are large, and two thirds of the generator's time would go into
packing them a little smaller."""
_TIME = "T02:30:00.000Z"
"""When nightly exports say that all of a day's changes were made."""
_NOT_IN_1_1 = frozenset(
    {
        "lineItemLearningObjectiveIds", "lineItemScoreScales", "resultLearningObjectiveIds",
        "resultScoreScales", "roles", "scoreScales", "userProfiles", "userResources",
    }
)  # fmt: skip
_CAN_BE_SENT = tuple(feed for feed in oneroster.FEEDS if feed is not oneroster.MANIFEST)


@dataclass(frozen=True)
class Day:
    """One day's drop: ``number`` from 0, the files (by feed) that it may have.

    ``folder`` is where they are written, ``package`` the zip that they go into, if they do.
    """

    number: int
    on: date
    delta: bool
    folder: Path
    package: Path | None
    files: dict[str, FeedFile]

    def shown(self, feed: FeedSpec) -> Path:
        """The path by which the receiver knows a file."""
        return (self.package or self.folder) / self.files[feed.name].path.name

    def lines(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Those of the lines of all days that are sent on this one."""
        since, until = (
            pl.col(name) if name in frame.columns else pl.lit(otherwise)
            for name, otherwise in ((SINCE, 0), (UNTIL, self.number + 1))
        )
        if not self.delta:
            here = frame.filter(since <= self.number, until > self.number)
            return here.drop(SINCE, UNTIL, strict=False)
        new = frame.filter(since == self.number, until > self.number)
        gone = frame.filter(until == self.number).join(new, on="sourcedId", how="anti")
        stamp = pl.lit(f"{self.on}{_TIME}").alias("dateLastModified")
        changes = (
            new.with_columns(pl.lit("active").alias("status"), stamp),
            gone.with_columns(pl.lit(GONE).alias("status"), stamp),
        )
        return pl.concat(changes).drop(SINCE, UNTIL, strict=False)


class Drops:
    """The drops of one district on some consecutive days, growing block by block."""

    def __init__(
        self, inbox: Path, place: Place, on: date, days: int, *, version: str | None = None
    ) -> None:
        self.way = way_of(place.ordinal, version)
        self.days = [self._day(inbox / place.cd_code, on, n, days) for n in range(days)]

    def _day(self, folder: Path, on: date, number: int, days: int) -> Day:
        on = on - timedelta(days=days - 1 - number)
        below = folder / oneroster.NAME
        files = below / on.isoformat()
        return Day(
            number=number,
            on=on,
            delta=self.way.delta and 0 < number < days - 1,
            folder=files,
            package=below / f"OneRoster_{on:%Y%m%d}.zip" if self.way.zipped else None,
            files={
                feed.name: FeedFile(
                    files / f"{feed.stems[0]}.csv", feed, self.way.dialect, self.way.version
                )
                for feed in oneroster.FEEDS
            },
        )

    def close(self) -> Iterator[tuple[int, int]]:
        """Writes manifests and packs; of each day's drop the number of files and manifest lines."""
        for day in self.days:
            manifest = day.files[oneroster.MANIFEST.name]
            if self.way.manifest:
                manifest.append(self._manifest(day))
            written = [file.path for file in day.files.values() if file.lines]
            if written and day.package:
                folder = _FOLDER_IN_ZIP if self.way.in_folder else ""
                pack(written, day.package, day.on, folder=folder, level=_FAST)
                day.folder.rmdir()
            yield 1 if day.package and written else len(written), manifest.lines

    def _manifest(self, day: Day) -> pl.DataFrame:
        """The manifest: versions, each file's mode, and who made the set."""
        sent = {feed.stems[0] for feed in _CAN_BE_SENT if day.files[feed.name].lines}
        names = sorted(
            {*(feed.stems[0] for feed in _CAN_BE_SENT), *LEFT_ALONE_FILES}, key=str.lower
        )
        if self.way.version == VERSION_1_1:
            names = [name for name in names if name not in _NOT_IN_1_1]
        mode = "delta" if day.delta else "bulk"
        said = {
            "manifest.version": "1.0",
            "oneroster.version": self.way.version,
            **{f"file.{name}": mode if name in sent else "absent" for name in names},
            "source.systemName": "Example Student System",
        }
        return pl.DataFrame({"propertyName": list(said), "value": list(said.values())})
