"""OneRoster drops of the synthetic state: one day's, and the sequences of several."""

from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest

from ccgi_pipeline.feeds import oneroster, platform, transcript
from ccgi_pipeline.feeds.oneroster import package_rules
from ccgi_pipeline.feeds.registry import RULES
from ccgi_pipeline.feeds.rules import Severity
from ccgi_pipeline.feeds.spec import FeedSpec
from ccgi_pipeline.intake.inbox import group_drops, list_inbox
from ccgi_pipeline.profiles import GuardProfile
from ccgi_pipeline.synthetic import generate, places, state
from ccgi_pipeline.synthetic.courses import history
from ccgi_pipeline.synthetic.oneroster import roster_lines
from ccgi_pipeline.synthetic.oneroster.export_styles import VERSIONS, way_of
from ccgi_pipeline.synthetic.people import people
from ccgi_pipeline.synthetic.student_blocks import blocks
from ccgi_pipeline.verification.offline_check import check
from ccgi_pipeline_tests.synthetic.conftest import Inbox, feed_of
from ccgi_pipeline_tests.synthetic.test_defects import AS_IT_SHOULD_BE
from ccgi_pipeline_tests.synthetic.test_generated_files import tree

pytestmark = pytest.mark.slow

ON = date(2026, 11, 22)
DISTRICTS, STUDENTS, SEED, DAYS = 17, 4000, 11, 3
WEEK = {"districts": DISTRICTS, "students": STUDENTS, "seed": SEED, "on": ON}
VARIETY = {
    "FILE-BOM",
    package_rules.NO_MANIFEST.id,
    package_rules.FOLDER.id,
    package_rules.ONLY_MANIFEST.id,
}
Line = Mapping[str, str]
Records = dict[str, dict[str, Line]]
"""By feed and id what a receiver knows."""


@pytest.fixture(scope="module")
def week(tmp_path_factory: pytest.TempPathFactory) -> Inbox:
    """The clean state, sent on three days."""
    root = tmp_path_factory.mktemp("week")
    return Inbox(root, generate(root, **WEEK, days=DAYS), ON)


def oneroster_files(root: Path) -> dict[str, str]:
    return {path: sum_ for path, sum_ in tree(root).items() if "/oneroster/" in path}


# --- one set ----------------------------------------------------------------------------------


@pytest.mark.parametrize("feed", oneroster.FEEDS, ids=lambda feed: feed.name)
def test_every_reference_is_to_a_record_of_the_set(clean: Inbox, feed: FeedSpec) -> None:
    lines = clean.lines(feed)
    for relation in feed.relations:
        target = next(other for other in oneroster.FEEDS if other.name == relation.target)
        known = clean.lines(target)
        if relation.target_is:
            known = known.filter(pl.col(relation.target_is[0]) == relation.target_is[1])
        named = lines.select("sender", pl.col(relation.column).str.split(",").alias("item"))
        named = named.explode("item").drop_nulls()
        assert named.height, relation.column
        missing = named.join(
            known,
            left_on=["sender", "item"],
            right_on=["sender", relation.target_column],
            how="anti",
        )
        assert missing.is_empty(), relation.column


def test_every_class_has_one_primary_teacher_and_a_few_a_second_one(clean: Inbox) -> None:
    classes = clean.lines(oneroster.CLASSES)
    teachers = clean.lines(oneroster.ENROLLMENTS).filter(pl.col("role") == "teacher")
    counted = classes.join(
        teachers.group_by("sender", classSourcedId="classSourcedId").agg(
            primary=(pl.col("primary") == "true").sum(), all=pl.len()
        ),
        left_on=["sender", "sourcedId"],
        right_on=["sender", "classSourcedId"],
        how="left",
    )
    assert counted["primary"].to_list() == [1] * classes.height
    assert 0.03 < (counted["all"] == 2).mean() < 0.1
    assert counted["all"].max() == 2
    twice = teachers.select("sender", "classSourcedId", "userSourcedId").is_duplicated()
    assert not twice.any()


def test_a_student_takes_five_to_seven_courses_at_one_school(clean: Inbox) -> None:
    taken = clean.lines(oneroster.ENROLLMENTS).filter(pl.col("role") == "student")
    each = taken.group_by("sender", "userSourcedId").agg(
        pl.len(),
        classes=pl.col("classSourcedId").n_unique(),
        schools=pl.col("schoolSourcedId").n_unique(),
    )
    assert set(each["len"]) == {5, 6, 7}
    assert each["len"].equals(each["classes"])
    assert each["schools"].max() == 1
    sizes = taken.group_by("sender", "classSourcedId").len()["len"]
    assert sizes.max() <= 32
    students = clean.lines(oneroster.USERS).filter(pl.col("sourcedId").str.starts_with("S"))
    assert students.height == each.height


def test_nearly_everyone_is_on_the_transcript_roster_and_nearly_all_of_it_is_here(
    clean: Inbox,
) -> None:
    roster = clean.lines(transcript.STUDENT).with_columns(identifier="LocalStudentID")
    users = clean.lines(oneroster.USERS).filter(pl.col("grades").is_not_null())
    both = users.join(roster, on=["sender", "identifier"])
    for ours, theirs in (
        ("givenName", "FirstName"),
        ("familyName", "LastName"),
        ("grades", "GradeLevel"),
    ):
        assert both[ours].equals(both[theirs]), ours
    here = roster.filter(pl.col("EnrollmentEndDate").is_null())
    only_there = here.join(users, on=["sender", "identifier"], how="anti")
    only_here = users.join(here, on=["sender", "identifier"], how="anti")
    assert 0.004 < only_there.height / here.height < 0.015
    assert 0.005 < only_here.height / here.height < 0.015
    ssids = both.with_columns(ssid=pl.col("userIds").str.extract(r"\{SSID:(\d{10})\}"))
    given = ssids.drop_nulls("ssid")
    assert given["ssid"].equals(given["StateID"])
    assert given["sender"].n_unique() == 9


def test_schools_are_those_of_the_roster(clean: Inbox) -> None:
    orgs = clean.lines(oneroster.ORGS)
    schools = orgs.filter(pl.col("type") == "school")
    directory = places.senders(DISTRICTS)
    assert Counter(schools["name"]) == Counter(directory["School"])
    by_sender = dict(orgs.group_by("sender").agg(pl.col("identifier")).iter_rows())
    lengths = Counter(
        tuple(sorted({len(cell or "") for cell in cells})) for cells in by_sender.values()
    )
    assert lengths == {(7, 12): 6, (14,): 6, (0,): 5}
    cds = schools.filter(pl.col("identifier").str.len_chars() == 14)
    assert set(cds["identifier"]) <= set(directory["CDSCode"])


def test_new_students_have_ssids_of_their_own(clean: Inbox) -> None:
    roster = clean.lines(transcript.STUDENT)["StateID"]
    users = clean.lines(oneroster.USERS).filter(pl.col("identifier").str.len_chars() > 6)
    new = users["userIds"].str.extract(r"\{SSID:(\d{10})\}").drop_nulls()
    assert len(new) > 10
    assert new.is_unique().all()
    seen = [roster, *(clean.lines(feed)["SSID"] for feed in platform.FEEDS)]
    assert not new.is_in(pl.concat(seen).implode()).any()


def test_districts_send_in_the_ways_that_readers_must_take(clean: Inbox) -> None:
    users = clean.texts_of(oneroster.USERS)
    headers = [text.splitlines()[0] for text in users.values()]
    assert sum("pronouns" in header for header in headers) == 3
    assert sum("\r\n" in text for text in users.values()) == 3
    assert sum(text.startswith("\ufeff") for text in users.values()) == 2
    assert sum(".zip/" not in path for path in users) == 3
    assert len(users) - len(clean.texts_of(oneroster.MANIFEST)) == 2
    assert len(clean.texts_of(oneroster.DEMOGRAPHICS)) == 6
    assert len(clean.texts_of(oneroster.ROLES)) == 3
    assert len(users) == DISTRICTS


def test_a_manifest_says_of_each_file_what_it_is(week: Inbox) -> None:
    modes = set()
    for path, text in week.texts_of(oneroster.MANIFEST).items():
        said = dict(csv.reader(text.removeprefix("\ufeff").splitlines()))
        folder = path.rsplit("/", 1)[0]
        beside = {Path(other).stem for other in week.texts if other.startswith(f"{folder}/")}
        named = {name.removeprefix("file.") for name, mode in said.items() if mode in MODES}
        assert named == beside - {"manifest"}, path
        modes |= {mode for mode in said.values() if mode in MODES}
        wanted = 13 if said["oneroster.version"] == "1.1" else 21
        assert sum(name.startswith("file.") for name in said) == wanted
    assert modes == MODES


MODES = {"bulk", "delta"}


# --- judged -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("on", "days"),
    [
        (date(2026, 7, 10), 1),
        (date(2026, 8, 13), 2),
        (date(2027, 2, 1), 2),
        (date(2027, 6, 20), 1),
    ],
    ids=str,
)
def test_at_any_time_of_the_year_sets_are_accepted(tmp_path: Path, on: date, days: int) -> None:
    generate(tmp_path, districts=10, students=800, seed=2, on=on, days=days)
    checked = check([*tmp_path.glob("*/oneroster")], on)
    assert checked.everything_loads
    fired = {rule for file in checked.files for rule in file.findings["rule"]}
    assert fired <= VARIETY


@pytest.mark.parametrize("version", VERSIONS)
def test_all_districts_send_the_named_version(tmp_path: Path, version: str) -> None:
    named = {"districts": 17, "students": 1_000, "seed": SEED, "on": ON, "days": DAYS}
    generate(tmp_path, **named, oneroster_version=version)
    checked = check([*tmp_path.glob("*/oneroster")], ON)
    assert checked.everything_loads
    assert {rule for file in checked.files for rule in file.findings["rule"]} <= VARIETY
    assert (oneroster.ROLES.name in {file.feed for file in checked.files}) == (version == "1.2")


def test_a_sequence_of_days_is_accepted(week: Inbox) -> None:
    checked = check([*week.root.glob("*/oneroster")], ON)
    assert checked.everything_loads
    assert {file.feed for file in checked.files} == {feed.name for feed in oneroster.FEEDS}
    fired = {rule for file in checked.files for rule in file.findings["rule"]}
    assert fired <= VARIETY
    weighty = {rule for rule in fired if RULES[rule].severity is not Severity.INFO}
    assert weighty == {package_rules.FOLDER.id}


@pytest.mark.parametrize("days", [1, 3])
def test_exactly_the_recorded_rule_fires_at_every_planted_defect(tmp_path: Path, days: int) -> None:
    made = generate(tmp_path, districts=10, students=1_200, seed=4, on=ON, defects=0.1, days=days)
    checked = check([*tmp_path.glob("*/oneroster")], ON)
    found = Counter(
        (Path(file.path).relative_to(tmp_path).as_posix(), line, rule)
        for file in checked.files
        for rule, line in file.findings.select("rule", "line").iter_rows()
        if rule not in AS_IT_SHOULD_BE | VARIETY
    )
    planted = Counter(tuple(defect) for defect in made.defects if "/oneroster/" in defect.path)
    assert planted.total() > 500
    assert found == planted
    rules = {rule for *_, rule in planted}
    assert len(rules) > 25
    feeds = [feed_of(path) for path in {path for path, *_ in planted}]
    assert {feed.name for feed in feeds if feed} == {"oneroster_users", "oneroster_enrollments"}


# --- days -------------------------------------------------------------------------------------


def drops_of(inbox: Inbox, sender: str) -> list[dict[str, list[Line]]]:
    """The sender's drops in the order in which they are loaded: lines by file, as in the files."""
    files = [file for file in list_inbox(inbox.root) if file.family == oneroster.NAME]
    contents = [
        (file, hashlib.sha256((inbox.root / file.path).read_bytes()).hexdigest())
        for file in files
        if file.sender == sender
    ]
    drops = []
    for drop in group_drops(contents):
        paths = tuple(file.path for file, _ in drop.files)
        drops.append(
            {
                Path(path).stem: list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))
                for path, text in inbox.texts.items()
                if path.startswith(paths)
            }
        )
    return drops


def applied(known: Records, drop: Mapping[str, list[Line]], *, delta: bool) -> Records:
    """What is known once a drop was applied: a set replaces, changes change."""
    after = {**known}
    for name, lines in drop.items():
        if name == "manifest":
            continue
        changed = {**known.get(name, {})} if delta else {}
        for line in lines:
            assert bool(line["status"]) == bool(line["dateLastModified"]) == delta
            told = {**line, "status": "", "dateLastModified": ""}
            if line["status"] == "tobedeleted":
                del changed[line["sourcedId"]]  # it must have been known
            else:
                changed[line["sourcedId"]] = told
        after[name] = changed
    return after


def states(inbox: Inbox, sender: str) -> Iterator[tuple[Mapping[str, list[Line]], Records]]:
    """Each drop, and what is known after it."""
    delta = way_of(ORDINALS[sender]).delta
    known: Records = {}
    drops = drops_of(inbox, sender)
    for number, drop in enumerate(drops):
        known = applied(known, drop, delta=delta and 0 < number < len(drops) - 1)
        yield drop, known


ORDINALS = {place.cd_code: place.ordinal for place in places.places(DISTRICTS)}


@pytest.mark.parametrize("sender", ORDINALS)
def test_after_the_last_day_is_known_what_its_set_says(week: Inbox, sender: str) -> None:
    seen = list(states(week, sender))
    assert len(seen) == DAYS
    last, known = seen[-1]
    for name, lines in last.items():
        if name != "manifest":
            assert known[name] == {line["sourcedId"]: line for line in lines}
    assert set(known) == set(last) - {"manifest"}


def test_changes_lead_to_the_last_set_but_for_what_changes_on_its_day(week: Inbox) -> None:
    kinds: Counter[str] = Counter()
    for sender, ordinal in ORDINALS.items():
        if not way_of(ordinal).delta:
            continue
        seen = list(states(week, sender))
        for drop, _ in seen[1:-1]:
            assert set(drop) <= {"manifest", "users", "enrollments", "roles", "userProfiles",
                                 "demographics"}  # fmt: skip
            kinds.update(f"{n} {line['status']}" for n, ls in drop.items() for line in ls
                         if n != "manifest")  # fmt: skip
        before, after = seen[-2][1], seen[-1][1]
        for name, records in after.items():
            differing = records.keys() ^ before[name].keys()
            differing |= {i for i in records.keys() & before[name] if records[i] != before[name][i]}
            assert len(differing) < 0.05 * len(records)
    assert set(kinds) >= {
        "users active", "users tobedeleted", "enrollments active", "enrollments tobedeleted",
    }  # fmt: skip


def test_the_last_days_set_does_not_depend_on_the_days_before(week: Inbox, clean: Inbox) -> None:
    once, often = tree(clean.root), tree(week.root)
    assert {path: often[path] for path in once} == once
    added = often.keys() - once.keys()
    assert added
    assert all("/oneroster/" in path for path in added)
    assert week.state.files == len(often)
    assert week.state.lines == sum(len(text.splitlines()) - 1 for text in week.texts.values())


def test_something_changes_every_day_and_never_so_much_that_a_drop_is_held(week: Inbox) -> None:
    guard = GuardProfile()
    for sender in ORDINALS:
        seen = [known for _, known in states(week, sender)]
        pairs = [*pairwise(seen), (seen[0], seen[-1])]
        if len(seen[0]["users"]) > MANY_USERS:
            assert all(one != other for one, other in pairs), sender
        for before, after in pairs:
            for name, records in before.items():
                gone = records.keys() - after.get(name, records).keys()
                assert share_is_small(len(gone), len(records), guard.at_least, guard.share)
                for school in {school_of(line) for line in records.values()} - {None}:
                    of_school = {i for i, line in records.items() if school_of(line) == school}
                    assert share_is_small(
                        len(gone & of_school), len(of_school), guard.school_at_least, guard.share
                    )


MANY_USERS = 250
"""With so many, somebody changes on each of the days."""


def school_of(line: Line) -> str | None:
    names = ("schoolSourcedId", "orgSourcedIds", "primaryOrgSourcedId", "orgSourcedId")
    return next((line[name] for name in names if line.get(name)), None)


def share_is_small(gone: int, known: int, at_least: int, share: float) -> bool:
    return gone <= (share if gone >= at_least else 0.5) * known


# --- bytes ------------------------------------------------------------------------------------


def test_the_same_arguments_give_the_same_sets(tmp_path: Path) -> None:
    for name in ("one", "two"):
        generate(tmp_path / name, districts=10, students=800, seed=3, on=ON, defects=0.05, days=3)
    assert oneroster_files(tmp_path / "one") == oneroster_files(tmp_path / "two")


def test_the_other_families_files_are_the_same_as_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = {"districts": 5, "students": 900, "seed": 3, "on": ON, "defects": 0.05}
    generate(tmp_path / "with", **arguments, days=2)
    monkeypatch.setattr(state, "roster_lines", lambda *_: iter(()))
    generate(tmp_path / "without", **arguments)
    with_sets, without = (
        {path: sum_ for path, sum_ in tree(tmp_path / name).items() if "/oneroster/" not in path}
        for name in ("with", "without")
    )
    assert with_sets == without


def test_a_districts_set_does_not_depend_on_how_many_districts_there_are() -> None:
    def lines(districts: int) -> list[pl.DataFrame]:
        (block,) = blocks(list(places.places(districts))[2], 800, seed=4, on=ON)
        students = people(block)
        taken = history(block, students)
        return [frame for _, frame in roster_lines(block, students, taken, way_of(2), 3)]

    few, many = lines(3), lines(60)
    assert len(few) == 6
    assert all(one.equals(other) for one, other in zip(few, many, strict=True))


def test_ids_of_a_district_of_several_blocks_are_unique() -> None:
    place = next(places.places(1))
    found: dict[str, list[pl.Series]] = {}
    for block in list(blocks(place, 41_000, seed=4, on=ON))[1:]:
        students = people(block)
        taken = history(block, students)
        for feed, frame in roster_lines(block, students, taken, way_of(1), 1):
            sent = frame.filter(pl.col("_until") > 0) if "_until" in frame.columns else frame
            found.setdefault(feed.name, []).append(sent["sourcedId"])
    assert len(found) == 5
    for name, ids in found.items():
        assert pl.concat(ids).is_unique().all(), name
