"""Small cells under attack: random tables, a month of nights; the price; the rule's laws.

Belongs here: tables that no night made. Does not belong here: files of nights (test_small_cells).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import combinations, product
from typing import get_args

import numpy as np
import polars as pl
import pytest

from ccgi_pipeline.profiles import SmallCells
from ccgi_pipeline.reports.registry import REPORTS
from ccgi_pipeline.reports.spec import Tables
from ccgi_pipeline.reports.suppression import (
    COUNT,
    GUARD,
    LARGEST_SMALL,
    LEAST_VALUES,
    MARKS,
    PERCENT,
    find_hidden_places,
    suppress_small_cells,
)
from ccgi_pipeline_tests.reports.attacker import Attack, counts_of_percentage, over_nights
from ccgi_pipeline_tests.tiers import slow_but

PROFILES = [*MARKS]
SMALL = LARGEST_SMALL + GUARD
BY_NAME = {spec.name: spec for spec in REPORTS}
SEED = 20261122
STATUSES = ("Launched", "In Progress", "Submitted", "Completed")
GRADE = "Grade Level"


# --- random tables --------------------------------------------------------------------------------


@dataclass
class Table:
    """One file of one district: per school and grade the roster's size, and counts by dimensions.

    ``exclusive``: no student is in two rows of a line.
    """

    tables: Tables
    dimensions: tuple[str, ...]
    sizes: dict[str, int]
    counts: dict[tuple[str, ...], int] = field(default_factory=dict)
    exclusive: bool = True

    def frames(self, cd: str) -> tuple[pl.DataFrame, pl.DataFrame]:
        """As ``build_aggregate_rows`` makes them, and the places beside."""
        made = []
        for (grade, *values), count in self.counts.items():
            share = (count * 2000 + self.sizes[grade]) // (2 * self.sizes[grade])
            row = {"cd": cd, "County": "Alpine", "District": cd, "School": "High"}
            row |= dict(zip(self.dimensions, values, strict=True))
            row |= {GRADE: grade, COUNT: f"{count}", PERCENT: f"{share / 10:g}"}
            made.append(row)
        places = [{"cds_code": f"{cd}H", "size": self.sizes[g]} for g, *_ in self.counts]
        return pl.DataFrame(made), pl.DataFrame(places)


def random_sizes(rng: np.random.Generator) -> dict[str, int]:
    drawn = np.exp(rng.normal(3.8, 1.1, 3)).astype(int) + 1
    return {grade: int(size) for grade, size in zip(("12", "11", "10"), drawn, strict=True)}


def random_shares(rng: np.random.Generator, count: int) -> list[float]:
    return [float(x) for x in rng.dirichlet([rng.choice([0.2, 0.6, 2.0, 20.0])] * count)]


def one_line_a_grade(rng: np.random.Generator, *, whole: bool) -> Table:
    """Every student is in one row (``whole``), or in one at most."""
    kinds = int(rng.integers(1, 8))
    table = Table(Tables(), ("Kind",), random_sizes(rng))
    for grade, size in table.sizes.items():
        drawn = rng.multinomial(size, random_shares(rng, kinds + (not whole)))[:kinds]
        table.counts |= {(grade, f"K{k}"): int(c) for k, c in enumerate(drawn) if c}
    return table


def a_line_for_each_name(rng: np.random.Generator) -> Table:
    """As assessments are: each name by itself, each student once for each name."""
    table = Table(Tables(by=("Name",)), ("Name", "Kind"), random_sizes(rng))
    for name in "ABC":
        for grade, size in table.sizes.items():
            drawn = rng.multinomial(size, random_shares(rng, 3))[:2]
            table.counts |= {(grade, name, f"K{k}"): int(c) for k, c in enumerate(drawn) if c}
    return table


def overlapping(rng: np.random.Generator) -> Table:
    """As applications are: a student is in as many rows as apply."""
    table = Table(Tables(by=("Name",)), ("Name", "Kind"), random_sizes(rng), exclusive=False)
    for name in "AB":
        for grade, size in table.sizes.items():
            drawn = rng.binomial(size, random_shares(rng, 4))
            table.counts |= {(grade, name, f"K{k}"): int(c) for k, c in enumerate(drawn) if c}
    return table


MAKERS = (
    lambda rng: one_line_a_grade(rng, whole=True),
    lambda rng: one_line_a_grade(rng, whole=False),
    a_line_for_each_name,
    overlapping,
)


def random_tables(count: int, seed: int = SEED) -> list[Table]:
    rng = np.random.default_rng(seed)
    made = [MAKERS[n % len(MAKERS)](rng) for n in range(count)]
    return [table for table in made if table.counts]


@dataclass
class Linked:
    """Three files about the same students, as eligibility and applications to CSU are."""

    sizes: dict[str, int]
    single: Table
    both: Table
    applications: Table


def random_linked(rng: np.random.Generator) -> Linked:
    sizes = random_sizes(rng)
    e, b, a = (BY_NAME[n] for n in LINKED)
    made = Linked(
        sizes,
        Table(e.tables, e.dimensions, sizes),
        Table(b.tables, b.dimensions, sizes),
        Table(a.tables, a.dimensions, sizes, exclusive=False),
    )
    for grade, size in sizes.items():
        ways = random_shares(rng, int(rng.integers(1, 6)))
        chances = [random_shares(rng, 5) for _ in ways]
        for way in rng.choice(len(ways), size, p=ways):
            furthest = int(rng.choice(5, p=chances[way]))
            name = "Not Applied" if furthest == 0 else STATUSES[furthest - 1]
            made.single.counts[grade, f"E{way}"] = made.single.counts.get((grade, f"E{way}"), 0) + 1
            key = (grade, f"E{way}", name)
            made.both.counts[key] = made.both.counts.get(key, 0) + 1
            also = {s for s in STATUSES[: max(furthest - 1, 0)] if rng.random() < 0.3}
            for status in also | ({name} if furthest else set()):
                at = (grade, "Cal State Apply", status)
                made.applications.counts[at] = made.applications.counts.get(at, 0) + 1
    return made


LINKED = ("csu_eligibility", "csu_eligibility_and_applied", "applications_and_launches")


# --- the attack on one night ----------------------------------------------------------------------


@dataclass
class Tally:
    """What came of an attack: cells in all, hidden (with those left out), recovered, narrowed."""

    cells: int = 0
    primary: int = 0
    hidden: int = 0
    recovered: int = 0
    narrowed: int = 0
    tables: int = 0

    def count(self, table: Table, shown: Shown) -> None:
        self.cells += len(table.counts)
        self.primary += sum(count <= LARGEST_SMALL for count in table.counts.values())
        self.hidden += sum(not shown.get(key, "").isdigit() for key in table.counts)

    def judge(self, attack: Attack, unknown: int, count: int) -> None:
        fits = attack.values(unknown, LEAST_VALUES)
        self.recovered += fits == [count]
        self.narrowed += len(fits) < LEAST_VALUES


Shown = dict[tuple[str, ...], str]


def shown_in(published: pl.DataFrame, cd: str, dimensions: tuple[str, ...]) -> Shown:
    theirs = published.filter(pl.col("cd") == cd)
    columns = [GRADE, *dimensions, COUNT]
    return {tuple(values): count for *values, count in theirs.select(columns).iter_rows()}


def attack_table(table: Table, shown: Shown, tally: Tally) -> None:
    """Line by line: roster and shown rows known, hidden ones wanted. Whole lines hang together."""
    tally.tables += 1
    tally.count(table, shown)
    lines: dict[tuple[str, ...], list[tuple[str, ...]]] = {}
    for key in table.counts:
        lines.setdefault((key[0], *key[1 : 1 + len(table.tables.by)]), []).append(key)
    for (grade, *_), keys in lines.items():
        size, counts = table.sizes[grade], [table.counts[key] for key in keys]
        hidden = [key for key in keys if key in shown and not shown[key].isdigit()]
        if not hidden:
            continue
        attack = Attack(SMALL)
        if table.exclusive:
            unknowns = {key: attack.unknown(1, size) for key in hidden}
            known = sum(int(shown[key]) for key in keys if shown.get(key, "").isdigit())
            rest = size - sum(counts)
            # He even knows whether there are students in none of the rows.
            every = [*unknowns.values(), *([attack.unknown(1, size)] if rest else [])]
            attack.add_sum(every, size - known)
            attack.clauses.append(tuple(every))
            for key, unknown in unknowns.items():
                tally.judge(attack, unknown, table.counts[key])
        else:
            # Rows say nothing of each other. A row of all students would be shown, says the rule.
            for key in hidden:
                alone = Attack()
                within = alone.unknown(1, size)
                alone.add_sum([within, alone.unknown(1, size)], size)
                tally.judge(alone, within, table.counts[key])


def come_to(attack: Attack, parts: list[int], total: int, size: int) -> None:
    """These unknowns add up to another one: the same is missing from both to the roster's size."""
    missing = attack.unknown(0, size)
    attack.add_sum([total, missing], size)
    attack.add_sum([*parts, missing], size)


def attack_linked(linked: Linked, shown: tuple[Shown, Shown, Shown], tally: Tally) -> None:
    """The three files at once: every sum that they share, and the roster."""
    tally.tables += 1
    for table, seen in zip((linked.single, linked.both, linked.applications), shown, strict=True):
        tally.count(table, seen)
    single, both, applied = shown
    for grade, size in linked.sizes.items():
        attack = Attack(SMALL)
        wanted: list[tuple[int, int]] = []

        def cell(
            table: Table,
            seen: Shown,
            key: tuple[str, ...],
            attack: Attack = attack,
            wanted: list[tuple[int, int]] = wanted,
            size: int = size,
        ) -> int:
            """An unknown, or a number that is known; where the row is left out, anything."""
            printed = seen.get(key)
            if printed is not None and printed.isdigit():
                return attack.unknown(int(printed), int(printed))
            unknown = attack.unknown(int(printed is not None), size)
            if printed is not None:
                wanted.append((unknown, table.counts[key]))
            return unknown

        ways = [way for g, way in linked.single.counts if g == grade]
        of_way = {w: cell(linked.single, single, (grade, w)) for w in ways}
        attack.add_sum([*of_way.values()], size)
        if any(not single.get((grade, w), "0").isdigit() for w in ways):
            attack.clauses.append(tuple(of_way.values()))
        inner = {key: cell(linked.both, both, key) for key in linked.both.counts if key[0] == grade}
        for w, above in of_way.items():
            come_to(attack, [v for key, v in inner.items() if key[1] == w], above, size)
        state = [key for key in linked.applications.counts if key[1] == "Cal State Apply"]
        for key in [key for key in state if key[0] == grade]:
            # Who completed one application is counted so in both; else there may be more.
            more = [] if key[2] == "Completed" else [attack.unknown(0, size)]
            column = [v for k, v in inner.items() if k[2] == key[2]]
            total = cell(linked.applications, applied, key)
            come_to(attack, [*column, *more], total, size)
        for unknown, count in wanted:
            tally.judge(attack, unknown, count)


def published(tables: list[Table], profile: SmallCells) -> list[Shown]:
    """Every table as a district's file; all of one shape in one frame, as a night does it."""
    made: list[Shown] = [{} for _ in tables]
    shapes: dict[tuple[object, ...], list[int]] = {}
    for n, table in enumerate(tables):
        shapes.setdefault((table.tables.by, table.dimensions), []).append(n)
    for numbers in shapes.values():
        frames = [tables[n].frames(f"{n:07}") for n in numbers]
        rows, places = (pl.concat(part) for part in zip(*frames, strict=True))
        marks = {f"{n:07}": MARKS[profile] for n in numbers}
        out = suppress_small_cells(rows, places, tables[numbers[0]].tables, marks)
        for n in numbers:
            made[n] = shown_in(out, f"{n:07}", tables[n].dimensions)
    return made


def linked_files(made: Linked, profile: SmallCells) -> tuple[Shown, Shown, Shown]:
    marks = {"1": MARKS[profile]}
    single, both = made.single.frames("1"), made.both.frames("1")
    one = suppress_small_cells(*single, made.single.tables, marks)
    if not made.applications.counts:
        two = suppress_small_cells(*both, made.both.tables, marks)
        return (
            shown_in(one, "1", made.single.dimensions),
            shown_in(two, "1", made.both.dimensions),
            {},
        )
    applied = made.applications.frames("1")
    theirs = find_hidden_places(*applied, made.applications.tables)
    ours = find_hidden_places(*both, made.both.tables)
    two = suppress_small_cells(*both, made.both.tables, marks, theirs)
    three = suppress_small_cells(*applied, made.applications.tables, marks, ours)
    return (
        shown_in(one, "1", made.single.dimensions),
        shown_in(two, "1", made.both.dimensions),
        shown_in(three, "1", made.applications.dimensions),
    )


@pytest.mark.parametrize("number", slow_but(100, (100, 500)))
@pytest.mark.parametrize("profile", PROFILES)
def test_of_many_attacked_tables_no_cell_is_recovered(profile: SmallCells, number: int) -> None:
    tables = random_tables(number * 4 // 5)
    tally = Tally()
    for table, shown in zip(tables, published(tables, profile), strict=True):
        attack_table(table, shown, tally)
    rng = np.random.default_rng(SEED + 1)
    while tally.tables < number:
        made = random_linked(rng)
        attack_linked(made, linked_files(made, profile), tally)
    print(f"{profile}: {tally}")  # noqa: T201 - the figures of docs/small-cells.md: pytest -s
    assert tally.primary > 2 * number
    assert tally.hidden > tally.primary
    assert (tally.recovered, tally.narrowed) == (0, 0)


def test_the_profiles_of_the_settings_are_the_ones_that_are_attacked() -> None:
    assert {*get_args(SmallCells)} == {"none", *PROFILES}


# --- the attacker can do it -----------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(40))
def test_the_attacker_finds_what_trying_all_numbers_finds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    attack = Attack(2)
    for _ in range(4):
        attack.unknown(int(rng.integers(0, 2)), int(rng.integers(3, 7)))
    for _ in range(int(rng.integers(1, 4))):
        parts = rng.choice(4, int(rng.integers(2, 5)), replace=False).tolist()
        attack.add_sum(parts, int(rng.integers(4, 13)))
    attack.clauses = [(0, 1, 2)] if rng.random() < 0.7 else []
    bounds = zip(attack.low, attack.high, strict=True)
    fit = [
        numbers
        for numbers in product(*(range(low, high + 1) for low, high in bounds))
        if all(sum(numbers[v] for v in parts) == total for parts, total in attack.sums)
        and all(any(1 <= numbers[v] <= 2 for v in clause) for clause in attack.clauses)
    ]
    for v in {v for parts, _ in attack.sums for v in parts}:
        assert attack.values(v, 100) == sorted({numbers[v] for numbers in fit})


def test_the_attacker_recovers_cells_where_only_small_ones_are_hidden() -> None:
    tables = [t for t in random_tables(200) if t.exclusive]
    tally = Tally()
    for table in tables:
        naive = {k: "*" if c <= LARGEST_SMALL else f"{c}" for k, c in table.counts.items()}
        attack_table(table, naive, tally)
    assert tally.recovered > 50


def test_the_attacker_recovers_cells_where_one_more_is_hidden_but_both_are_too_small() -> None:
    table = Table(
        Tables(), ("Kind",), {"12": 33}, {("12", "a"): 1, ("12", "b"): 1, ("12", "c"): 31}
    )
    tally = Tally()
    attack_table(table, {("12", "a"): "*", ("12", "b"): "*", ("12", "c"): "31"}, tally)
    assert tally.recovered == 2


def test_the_attacker_recovers_cells_from_the_sums_of_another_file() -> None:
    tally = Tally()
    rng = np.random.default_rng(SEED + 2)
    for _ in range(20):
        made = random_linked(rng)
        files = [
            {k: "*" if c <= LARGEST_SMALL else f"{c}" for k, c in table.counts.items()}
            for table in (made.single, made.both, made.applications)
        ]
        attack_linked(made, (files[0], files[1], files[2]), tally)
    assert tally.recovered > 20


@pytest.mark.parametrize(("count", "size"), [(3, 43), (10, 97), (1, 15)])
def test_a_percentage_that_is_left_shown_gives_its_count_away(count: int, size: int) -> None:
    share = (count * 2000 + size) // (2 * size)
    assert counts_of_percentage(f"{share / 10:g}", size) == [count]


# --- over nights ----------------------------------------------------------------------------------


def a_month(rng: np.random.Generator, cells: int) -> tuple[list[list[int]], list[int]]:
    """The counts of one line over 31 nights: one student at most comes, leaves or moves."""
    counts = [int(rng.integers(5, 22)), *(int(x) for x in rng.integers(20, 50, cells - 1))]
    drift = rng.choice([-1, 0, 1])
    nights = [[*counts]]
    while len(nights) < 31:
        step = [0] * cells
        step[0] = int(rng.choice([drift, 1, -1, 0], p=[0.7, 0.1, 0.1, 0.1]))
        other = int(rng.integers(1, cells))
        step[other] = -step[0] if rng.random() < 0.5 else 0
        changed = [c + d for c, d in zip(counts, step, strict=True)]
        if min(changed) >= 1:
            counts = changed
        nights.append([*counts])
    return nights, [sum(night) for night in nights]


def what_a_month_tells(seed: int, hides: int, of: int = 60) -> tuple[int, int]:
    """Of small cells in ``of`` months: how many he recovers, how many he narrows too far.

    ``hides``: a line is hidden if one of its cells has so many students or fewer.
    """
    rng = np.random.default_rng(seed)
    recovered = narrowed = 0
    for n in range(of):
        nights, sizes = a_month(rng, 2 + n % 2)
        shown = [None if min(night) <= hides else night for night in nights]
        if all(night is None for night in shown):
            continue
        for night, told in zip(nights, over_nights(shown, sizes, hides), strict=True):
            for count, values in zip(night, told, strict=True):
                assert count in values
                if count <= LARGEST_SMALL:
                    recovered += len(values) == 1
                    narrowed += len(values) < LEAST_VALUES
    return recovered, narrowed


@pytest.mark.parametrize("profile", PROFILES)
def test_thirty_nights_recover_and_narrow_no_small_cell(profile: SmallCells) -> None:
    rng = np.random.default_rng(SEED)
    for n in range(6):
        nights, sizes = a_month(rng, 2 + n % 2)
        for night, size in zip(nights, sizes, strict=True):
            counts = {("12", f"K{k}"): c for k, c in enumerate(night)}
            (shown,) = published([Table(Tables(), ("Kind",), {"12": size}, counts)], profile)
            hidden = {not count.isdigit() for count in shown.values()}
            assert hidden == {min(night) <= SMALL}, "the month is attacked as it is published"
    assert what_a_month_tells(SEED, hides=SMALL) == (0, 0)


def test_without_the_guard_a_month_gives_small_cells_away() -> None:
    recovered, narrowed = what_a_month_tells(SEED, hides=LARGEST_SMALL)
    assert recovered > 10
    assert narrowed > recovered


# --- what it costs --------------------------------------------------------------------------------


def least_hidden(counts: list[int], rest: int) -> int:
    """Of a line in which every student is once: the fewest cells that must be hidden, one night.

    No small cell may be shown, follow from the roster, or have fewer than LEAST_VALUES values.
    """
    small = {n for n, count in enumerate(counts) if count <= LARGEST_SMALL}
    if not small and not 1 <= rest <= LARGEST_SMALL:
        return 0
    others = [n for n in range(len(counts)) if n not in small]
    for more in range(len(others) + 1):
        for chosen in combinations(others, more):
            unknown = [counts[n] for n in {*small, *chosen}] + ([rest] if rest else [])
            if len(unknown) > 1 and sum(unknown) - len(unknown) + 1 >= LEAST_VALUES:
                return len(small) + more
    return len(counts)


def price(tables: list[Table], shown: list[Shown]) -> tuple[int, int, int]:
    """Cells, hidden cells, and the least possible, of lines in which every student is once."""
    cells = hidden = least = 0
    for table, seen in zip(tables, shown, strict=True):
        lines: dict[tuple[str, ...], list[tuple[str, ...]]] = {}
        for key in table.counts:
            lines.setdefault(key[: 1 + len(table.tables.by)], []).append(key)
        for (grade, *_), keys in lines.items():
            counts = [table.counts[key] for key in keys]
            cells += len(keys)
            hidden += sum(not seen.get(key, "").isdigit() for key in keys)
            least += least_hidden(counts, table.sizes[grade] - sum(counts))
    return cells, hidden, least


@pytest.mark.parametrize("profile", PROFILES)
def test_no_more_than_one_and_a_half_times_the_least_possible_is_hidden(
    profile: SmallCells,
) -> None:
    tables = [table for table in random_tables(500) if table.exclusive]
    cells, hidden, least = price(tables, published(tables, profile))
    print(f"{profile}: {cells=} {hidden=} {least=}")  # noqa: T201 - the same
    assert least <= hidden <= 1.5 * least


def test_no_line_hides_anything_without_a_reason() -> None:
    tables = [table for table in random_tables(200) if table.exclusive]
    for table, shown in zip(tables, published(tables, "california_10"), strict=True):
        for (grade, *_), count in shown.items():
            assert count.isdigit() or table.sizes[grade] > LARGEST_SMALL
    large = Table(Tables(), ("Kind",), {"12": 45}, {("12", k): SMALL + 1 for k in "abc"})
    (shown,) = published([large], "california_10")
    assert {*shown.values()} == {f"{SMALL + 1}"}


# --- laws -----------------------------------------------------------------------------------------


def frames_of(tables: list[Table]) -> tuple[pl.DataFrame, pl.DataFrame]:
    frames = [table.frames(f"{n:07}") for n, table in enumerate(tables)]
    rows, places = (pl.concat(part) for part in zip(*frames, strict=True))
    return rows, places


@pytest.fixture(scope="module", params=[0, 2, 3])
def one_shape(request: pytest.FixtureRequest) -> list[Table]:
    """Fifty tables of one shape."""
    rng = np.random.default_rng(SEED)
    made = [MAKERS[request.param](rng) for _ in range(50)]
    return [table for table in made if table.counts]


def test_without_a_profile_the_very_same_frame_comes_back(one_shape: list[Table]) -> None:
    rows, places = frames_of(one_shape)
    assert suppress_small_cells(rows, places, one_shape[0].tables, {}) is rows


@pytest.mark.parametrize("profile", PROFILES)
def test_a_hidden_count_has_no_percentage_and_nothing_shown_is_altered(
    one_shape: list[Table], profile: SmallCells
) -> None:
    rows, places = frames_of(one_shape)
    mark = MARKS[profile]
    marks = dict.fromkeys(rows["cd"].unique(), mark)
    out = suppress_small_cells(rows, places, one_shape[0].tables, marks)
    assert out.columns == rows.columns
    hidden = out.filter(pl.col(COUNT) == mark)
    assert hidden.height > 100
    assert {*hidden[PERCENT]} == {mark}
    shown = out.filter(pl.col(COUNT) != mark)
    assert not shown.filter(pl.col(COUNT).cast(pl.Int64) <= LARGEST_SMALL).height
    assert shown.join(rows, on=rows.columns, how="semi").equals(shown)
    labels = [name for name in rows.columns if name not in {COUNT, PERCENT}]
    kept = rows.select(labels).join(
        out.select(labels), on=labels, how="semi", maintain_order="left"
    )
    assert kept.equals(out.select(labels)), "the order of the rows stays"


def test_hiding_again_changes_nothing(one_shape: list[Table]) -> None:
    rows, places = frames_of(one_shape)
    marks = dict.fromkeys(rows["cd"].unique(), "*")
    tables = one_shape[0].tables
    beside = rows.with_columns(places["cds_code"].alias("_code"), places["size"].alias("_size"))
    once = suppress_small_cells(beside, places, tables, marks)
    left = once.select(pl.col("_code").alias("cds_code"), pl.col("_size").alias("size"))
    assert suppress_small_cells(once, left, tables, marks).equals(once)


def test_districts_do_not_disturb_each_other(one_shape: list[Table]) -> None:
    rows, places = frames_of(one_shape)
    tables = one_shape[0].tables
    some = rows["cd"].unique().sort().to_list()[::2]
    out = suppress_small_cells(rows, places, tables, dict.fromkeys(some, "*"))
    others = ~pl.col("cd").is_in(some)
    assert out.filter(others).equals(rows.filter(others))
    every = suppress_small_cells(rows, places, tables, dict.fromkeys(rows["cd"].unique(), "*"))
    assert out.filter(~others).equals(every.filter(~others))


def test_two_schools_of_the_same_name_are_two_places() -> None:
    counts = {("12", "a"): 20, ("12", "b"): 30}
    rows, _ = Table(Tables(), ("Kind",), {"12": 50}, counts).frames("1")
    both = pl.concat([rows, rows.with_columns(pl.Series(COUNT, ["3", "47"]))])
    places = pl.DataFrame({"cds_code": ["A", "A", "B", "B"], "size": [50] * 4})
    out = suppress_small_cells(both, places, Tables(), {"1": "*"})
    assert out[COUNT].to_list() == ["20", "30", "*", "*"]


def test_a_cell_that_appears_overnight_is_known_to_who_knows_how_many_came() -> None:
    """What is not promised: rows of nobody are absent, so the first student makes a row appear."""
    before = {("12", "a"): 40}
    after = {("12", "a"): 40, ("12", "b"): 1}
    one = published([Table(Tables(), ("Kind",), {"12": 40}, before)], "california_10")
    two = published([Table(Tables(), ("Kind",), {"12": 41}, after)], "california_10")
    assert one == [{("12", "a"): "40"}]
    assert two == [{("12", "a"): "*", ("12", "b"): "*"}]
