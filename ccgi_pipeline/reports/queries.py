"""Queries the warehouse for the rows of each report, for all districts in one pass.

Belongs here: the views that a report's query may use, the aggregate that is counted from the
detail, and what a cell may hold. Does not belong here: files and folders (outbox).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta

import duckdb
import polars as pl

from ccgi_pipeline.common.spreadsheet_cells import sanitize_cells
from ccgi_pipeline.common.time_zone import CALIFORNIA
from ccgi_pipeline.districts import DIRECTORY_SCHEMA, directory
from ccgi_pipeline.eligibility.systems import AREAS, YEAR
from ccgi_pipeline.feeds.codes import RACE_CATEGORY, race_group
from ccgi_pipeline.feeds.columns import CodeSet
from ccgi_pipeline.feeds.platform import APPLICATION_STATUS, MODULE_STATUS
from ccgi_pipeline.feeds.registry import EVENT_FEEDS
from ccgi_pipeline.profiles import Profiles, ReportSettings, SmallCells
from ccgi_pipeline.reports.column_policies import Output, leaves_out_opted_out
from ccgi_pipeline.reports.spec import PLACE, ReportSpec, shipped_query
from ccgi_pipeline.reports.suppression import MARKS, find_hidden_places, suppress_small_cells
from ccgi_pipeline.warehouse.queries.directory import name_senders
from ccgi_pipeline.warehouse.queries.opt_outs import OPTED_OUT_BY_DISTRICT
from ccgi_pipeline.warehouse.storage.schema import quote_identifier, quote_literal

_YEARS_IN_WORDS = (
    f"years_in_words(units) AS rtrim(rtrim(printf('%.2f', units / {YEAR}.0), '0'), '.')"
)
"""Prints years without trailing zeros: 11, 11.5."""
AREAS_NOT_COMPLETE = (
    "areas_not_complete(result) AS concat_ws(' ', "
    + ", ".join(f"CASE WHEN NOT result.complete_{area} THEN '{area}' END" for area in AREAS)
    + ")"
)
"""The macro that lists the letters of the areas, from a row of the evaluation."""
ELIGIBILITY = "eligibility"
"""The view with the evaluated course histories."""
LEFT_OUT = "left_out_of_details"
"""The table of the students (``cd``, ``SSID``) who are in no detail file."""
DIGESTS = "report_digests"
"""The table of the digests of what the views show (``digests``)."""
ROSTER = "roster"
"""The view of the students of every roster."""
_HELD_ROSTER = "roster_rows"


def create_report_views(
    connection: duckdb.DuckDBPyConnection, on: date, settings: ReportSettings
) -> pl.DataFrame:
    """Creates the views of the queries, as of the end of the day ``on`` in California.

    Returns the districts that have a roster, and so get reports (``cd``, ``County``, ``District``,
    ``folder``).
    """
    until = datetime.combine(on + timedelta(days=1), time(), CALIFORNIA).astimezone(UTC)
    for feed in EVENT_FEEDS:
        connection.execute(
            f"CREATE OR REPLACE TEMP VIEW {feed.view} AS "
            f"SELECT * FROM lake.{feed.name} "
            f"WHERE OccurredAt < TIMESTAMP '{until:%Y-%m-%d %H:%M:%S}'"
        )
    create_macros(connection, settings)
    connection.execute(
        f"CREATE OR REPLACE TEMP VIEW {ELIGIBILITY} AS SELECT * FROM lake.{ELIGIBILITY}"
    )
    entries = connection.sql(
        f"SELECT {', '.join(DIRECTORY_SCHEMA)} FROM lake.cde_directory WHERE _active"
    ).pl()
    cd_codes = connection.sql(
        "SELECT DISTINCT _sender AS cd FROM lake.transcript_student WHERE _active ORDER BY 1"
    ).pl()["cd"]
    in_force = directory(entries)
    named = name_senders(connection, cd_codes)
    races = pl.DataFrame(race_categories(), ["code", "name", "in_group"], orient="row")
    for name, frame in (
        ("directory", in_force),
        ("district_names", named),
        ("race_categories", races),
    ):
        connection.register("new_rows", frame.to_arrow())
        connection.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS SELECT * FROM new_rows")
        connection.unregister("new_rows")
    connection.execute(f"CREATE OR REPLACE TEMP VIEW {ROSTER} AS {roster_query(settings)}")
    connection.execute(f"DROP TABLE IF EXISTS temp.main.{_HELD_ROSTER}")
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {LEFT_OUT} AS {left_out_query(settings)}")
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE report_views AS SELECT $made_for AS made_for",
        {"made_for": _describe_views(on, settings)},
    )
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {DIGESTS} (source TEXT, cd TEXT, digest TEXT)"
    )
    return named


def ensure_report_views(
    connection: duckdb.DuckDBPyConnection, on: date, settings: ReportSettings
) -> pl.DataFrame:
    """Does what ``create_report_views`` does, unless an earlier step of the night did.

    For a million students that takes seconds. Nothing is loaded after a night's reports.
    """
    there = "SELECT 1 FROM duckdb_tables() WHERE temporary AND table_name = 'report_views'"
    if connection.execute(there).fetchone():
        made = connection.execute("SELECT made_for FROM report_views").fetchone()
        if made == (_describe_views(on, settings),):
            return connection.execute("FROM district_names").pl()
    return create_report_views(connection, on, settings)


def _describe_views(on: date, settings: ReportSettings) -> str:
    return f"{on} {settings.model_dump_json()}"


def hold_roster(connection: duckdb.DuckDBPyConnection) -> None:
    """Holds the rows of the roster, if they are not yet: many queries read them.

    For a million students that takes two seconds, and a night on which nothing came needs no rows.
    """
    there = "SELECT 1 FROM duckdb_tables() WHERE temporary AND table_name = $name"
    if connection.execute(there, {"name": _HELD_ROSTER}).fetchone() is None:
        connection.execute(f"CREATE TEMP TABLE {_HELD_ROSTER} AS FROM {ROSTER}")
        connection.execute(f"CREATE OR REPLACE TEMP VIEW {ROSTER} AS FROM {_HELD_ROSTER}")


def race_categories() -> list[tuple[str, str, str]]:
    """Returns code, name and group of each race category, as the roster's query reads them."""
    return [(code.value, code.name, race_group(code.value)) for code in RACE_CATEGORY.codes]


def roster_query(settings: ReportSettings) -> str:
    """Returns the query of the roster; the setting about opt-outs may leave students out."""
    roster = shipped_query("roster.sql").read_text()
    if leaves_out_opted_out(Output.AGGREGATE, settings.opt_out_covers):
        return f"FROM ({roster}) ANTI JOIN ({OPTED_OUT_BY_DISTRICT}) USING (cd, SSID)"
    return roster


def left_out_query(settings: ReportSettings) -> str:
    """Returns the query of the students (``cd``, ``SSID``) who are in no detail file."""
    covered = leaves_out_opted_out(Output.DETAIL, settings.opt_out_covers)
    return f"FROM ({OPTED_OUT_BY_DISTRICT}) WHERE {covered}"


def create_macros(connection: duckdb.DuckDBPyConnection, settings: ReportSettings) -> None:
    """Creates the functions of moments (UTC) and of statuses that the queries may call."""
    for macro in define_macros(settings):
        connection.execute(f"CREATE OR REPLACE TEMP MACRO {macro}")


def define_macros(settings: ReportSettings) -> Iterator[str]:
    """Yields the definition of each function that the queries may call."""
    yield _YEARS_IN_WORDS
    yield AREAS_NOT_COMPLETE
    local = f"timezone('{CALIFORNIA.key}', timezone('UTC', moment))"
    yield f"california_day(moment) AS strftime({local}, '%Y-%m-%d')"
    for name, starts in (
        ("aid_year", settings.aid_year_starts),
        ("admission_year", settings.admission_year_starts),
    ):
        later = f"strftime({local}, '%m-%d') >= '{starts}'"
        yield f"{name}(moment) AS year({local}) + CAST({later} AS INTEGER)"
    yield f"status_rank(status) AS {_rank(APPLICATION_STATUS)}"
    yield f"module_rank(status) AS {_rank(MODULE_STATUS)}"


def _rank(codes: CodeSet) -> str:
    """Returns the expression of a status's place in the order in which ``codes`` are declared."""
    return f"list_position({[code.value for code in codes.codes]}, status)"


def read_detail_rows(connection: duckdb.DuckDBPyConnection, spec: ReportSpec) -> pl.DataFrame:
    """Returns the detail rows of all districts: ``cd``, then the columns as they are printed.

    Leaves them in the temporary table ``detail`` for ``build_aggregate_rows``.
    """
    create_detail_table(connection, spec)
    return _read_detail(connection, spec)


def create_detail_table(
    connection: duckdb.DuckDBPyConnection,
    spec: ReportSpec,
    columns: Sequence[str] = (),
    cds: Sequence[str] | None = None,
) -> None:
    """Creates the temporary table ``detail`` with the detail rows of all districts.

    ``columns``: only these, where the rows are only counted; a state's details are large. ``cds``:
    the districts whose rows are wanted. The table may have those of others, too.
    """
    hold_roster(connection)
    forget_detail_table(connection)  # the former rows would stay until the new ones are there
    query = spec.query.read_text()
    chosen = ", ".join(map(quote_identifier, columns)) or "*"
    connection.execute(
        f"CREATE TEMP TABLE detail AS {_restrict_relations(connection, cds)}"
        f"SELECT {chosen} FROM ({query})"
    )


def forget_detail_table(connection: duckdb.DuckDBPyConnection) -> None:
    """Lets the table ``detail`` go: that of a report on two million students takes 1.3 GB."""
    connection.execute("DROP TABLE IF EXISTS temp.main.detail")


def _restrict_relations(connection: duckdb.DuckDBPyConnection, cds: Sequence[str] | None) -> str:
    """Returns the WITH clause that hides other districts' students and events from a query.

    It stands before the query and uses the names that the query reads. Nothing is hidden if ``cds``
    are nearly all: reading everything is faster then.
    """
    found = connection.execute("SELECT count(*) FROM district_names").fetchone()
    if cds is None or found is None or 4 * len(cds) > 3 * found[0]:
        return ""
    theirs = ", ".join(map(quote_literal, cds))
    relations = {
        ROSTER: f"FROM temp.main.{ROSTER} WHERE cd IN ({theirs})",
        ELIGIBILITY: f"FROM temp.main.{ELIGIBILITY} WHERE _sender IN ({theirs})",
    }
    for feed in EVENT_FEEDS:
        relations[feed.view] = f"FROM temp.main.{feed.view} SEMI JOIN roster USING (SSID)"
    return f"WITH {', '.join(f'{name} AS ({query})' for name, query in relations.items())} "


def split_districts(
    connection: duckdb.DuckDBPyConnection, named: pl.DataFrame
) -> list[pl.DataFrame]:
    """Splits districts into parts whose reports fit into memory, each in one table ``detail``."""
    hold_roster(connection)
    sizes = dict(connection.execute(f"SELECT cd, count(*) FROM {ROSTER} GROUP BY cd").fetchall())
    students = pl.Series("students", [sizes.get(cd, 0) for cd in named["cd"]], dtype=pl.Int64)
    parts = named.with_columns(((students.cum_sum() - students) // PART_STUDENTS).alias("part"))
    return parts.partition_by("part", maintain_order=True, include_key=False)


PART_STUDENTS = 1_000_000
"""Students whose rows of a report are in memory: those of a report on eligibility take 700 MB."""


def read_detail_batches(
    connection: duckdb.DuckDBPyConnection, spec: ReportSpec, named: pl.DataFrame
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Yields the districts ``named`` in batches, each with its rows of the table ``detail``."""
    sizes = dict(connection.execute("SELECT cd, count(*) FROM detail GROUP BY cd").fetchall())
    rows = pl.Series("rows", [sizes.get(cd, 0) for cd in named["cd"]], dtype=pl.Int64)
    batches = named.with_columns(((rows.cum_sum() - rows) // BATCH_ROWS).alias("batch"))
    for part in batches.partition_by("batch", maintain_order=True, include_key=False):
        yield part, _read_detail(connection, spec, part["cd"].to_list())


BATCH_ROWS = 100_000
"""Detail rows of a batch, so that a whole state does not have to fit into memory."""


def _read_detail(
    connection: duckdb.DuckDBPyConnection, spec: ReportSpec, cds: Sequence[str] | None = None
) -> pl.DataFrame:
    """Returns the printed rows of the table ``detail``, only of the districts ``cds`` if given."""
    names = [column.name for column in spec.detail_columns]
    printed = ", ".join(
        f"{quote_identifier(name)}::VARCHAR AS {quote_identifier(name)}" for name in names
    )
    # The bounds exclude nearly all other districts without a search in the list.
    theirs = "true" if cds is None else "cd BETWEEN $first AND $last AND list_contains($cds, cd)"
    rows = connection.execute(
        f"SELECT cd, cds_code, {printed} FROM (SELECT * FROM detail {district_filter(spec)}) "
        f"ANTI JOIN {LEFT_OUT} USING (cd, SSID) WHERE {theirs}",
        None if cds is None else {"cds": list(cds), "first": min(cds), "last": max(cds)},
    ).pl()
    own = [column.name for column in spec.columns]
    ordered = rows.sort("cd", "School", "cds_code", "SSID", *own, nulls_last=True)
    return sanitize_cells(ordered.select("cd", *names), names)


def build_aggregate_rows(
    connection: duckdb.DuckDBPyConnection, spec: ReportSpec, settings: ReportSettings
) -> pl.DataFrame:
    """Returns the aggregate rows of all districts, counted from the table ``detail``."""
    return _format_rows(_query_groups(connection, spec, settings), spec, settings)


def build_sent_aggregate_rows(
    connection: duckdb.DuckDBPyConnection,
    spec: ReportSpec,
    profiles: Profiles,
    reports: Sequence[ReportSpec],
    cds: Sequence[str] | None = None,
) -> pl.DataFrame:
    """Returns ``build_aggregate_rows`` without the small cells that districts' profiles hide.

    ``reports`` are all reports, because a report hides counts that another one would reveal.
    ``cds`` as in ``create_detail_table``. The last column, ``place``, is the row's position in its
    district before rows were left out, from 0.
    """
    groups = _query_groups(connection, spec, profiles.reports)
    rows = _format_rows(groups, spec, profiles.reports).with_columns(
        pl.int_range(pl.len()).over("cd").alias("place")
    )
    modes = {cd: find_small_cells_rule(profiles, cd) for cd in rows["cd"].unique()}
    marks = {cd: MARKS[mode] for cd, mode in modes.items() if mode in MARKS}
    if not marks:
        return rows
    linked = None
    others = [other for other in reports if other.name == spec.tables.linked_to]
    if others:
        (other,) = others
        create_detail_table(connection, other, cds=cds)
        their_groups = _query_groups(connection, other, profiles.reports)
        their_rows = _format_rows(their_groups, other, profiles.reports)
        places = _measure_places(connection, their_groups)
        linked = find_hidden_places(their_rows, places, other.tables)
        create_detail_table(connection, spec, cds=cds)  # callers need the detail of this report
    return suppress_small_cells(
        rows, _measure_places(connection, groups), spec.tables, marks, linked
    )


def find_small_cells_rule(profiles: Profiles, cd: str) -> SmallCells:
    """Returns all that the rows of a report depend on in a district's profile (``basis``)."""
    return profiles.of(cd).delivery.small_cells


def _measure_places(connection: duckdb.DuckDBPyConnection, groups: pl.DataFrame) -> pl.DataFrame:
    """Returns for each of ``groups`` the school and the number of its students of the grade."""
    sizes = connection.sql(
        'SELECT cd, cds_code, "Grade Level" AS "_Grade Level", count(*) AS size '
        "FROM roster GROUP BY ALL"
    ).pl()
    keys = ["cd", "cds_code", "_Grade Level"]
    placed = groups.join(sizes, on=keys, how="left", nulls_equal=True, maintain_order="left")
    return placed.select("cds_code", "size")


def _format_rows(groups: pl.DataFrame, spec: ReportSpec, settings: ReportSettings) -> pl.DataFrame:
    names = [column.name for column in spec.aggregate_columns]
    printed = groups.select(
        "cd",
        *group_columns(spec),
        pl.col("counted").cast(pl.String).alias("# of Students"),
        _percent("counted", "students", settings.percent_decimals).alias("% of Students"),
    )
    return sanitize_cells(printed.select("cd", *names), names)


def list_counted_students(
    connection: duckdb.DuckDBPyConnection, spec: ReportSpec, settings: ReportSettings
) -> pl.DataFrame:
    """Returns the students counted in each row of ``build_aggregate_rows``, from ``detail``.

    Columns: ``cd``, ``place`` (the row's position in its district, from 0), ``SSID``, and ``rows``,
    the number of the student's detail rows.
    """
    groups = _query_groups(connection, spec, settings)
    placed = groups.with_columns(pl.int_range(pl.len()).over("cd").alias("place"))
    counted_as = {f"_{name}": name for name in group_columns(spec)}
    connection.register("placed", placed.select("cd", "cds_code", "place", *counted_as).to_arrow())
    same = " AND ".join(
        f"detail.{quote_identifier(name)} IS NOT DISTINCT FROM placed.{quote_identifier(raw)}"
        for raw, name in counted_as.items()
    )
    students = connection.sql(
        f"SELECT cd, place, SSID, count(*) AS rows FROM detail JOIN placed USING (cd, cds_code) "
        f"WHERE {same} GROUP BY ALL ORDER BY ALL"
    ).pl()
    connection.unregister("placed")
    return students


def group_columns(spec: ReportSpec) -> list[str]:
    """Returns the columns by which an aggregate counts."""
    return [*PLACE, *spec.dimensions, "Grade Level"]


def _query_groups(
    connection: duckdb.DuckDBPyConnection, spec: ReportSpec, settings: ReportSettings
) -> pl.DataFrame:
    """Counts the aggregate's groups, in its order; columns with ``_`` hold the detail's words."""
    groups = group_columns(spec)
    rows = connection.sql(groups_query(spec, settings)).pl()
    labelled = rows.with_columns(pl.col(groups).name.prefix("_")).with_columns(
        pl.col(name).replace(dict(labels)).alias(name) for name, labels in spec.labels.items()
    )
    return labelled.sort(
        ["cd", "School", "cds_code", *spec.dimensions, "Grade Level"],
        descending=[False] * (3 + len(spec.dimensions)) + [True],  # the seed's sample: 12 above 11
        nulls_last=True,
    )


def groups_query(spec: ReportSpec, settings: ReportSettings) -> str:
    """Returns the query that counts the students of each group, from ``detail`` and ``roster``."""
    names = ["cd", "cds_code", *group_columns(spec)]
    chosen = ", ".join(quote_identifier(name) for name in names)
    roster_part = (
        'cd, cds_code, "Grade Level"' if settings.percent_of == "grade" else "cd, cds_code"
    )
    return f"""
        WITH sizes AS (
            SELECT {roster_part}, count(*) AS students FROM roster GROUP BY ALL
        )
        SELECT {chosen}, count(DISTINCT SSID) AS counted, any_value(sizes.students) AS students
        FROM detail JOIN sizes USING ({roster_part})
        {district_filter(spec)}
        GROUP BY ALL
    """


def district_filter(spec: ReportSpec) -> str:
    """Returns the condition that leaves the districts of a customized report."""
    if spec.only_for is None:
        return ""
    if not all(cd.isdigit() for cd in spec.only_for):
        msg = f"{spec.name}: only_for must name CD codes"
        raise ValueError(msg)
    listed = ", ".join(f"'{cd}'" for cd in sorted(spec.only_for))
    return f"WHERE cd IN ({listed})"


def _percent(part: str, whole: str, decimals: int) -> pl.Expr:
    """Returns ``part`` in percent of ``whole``, rounded half up, without trailing zeros: 10, 33.3.

    Computes with integers only, so that every machine rounds alike.
    """
    scale = 10**decimals
    share = (pl.col(part).cast(pl.Int64) * 200 * scale + pl.col(whole)) // (2 * pl.col(whole))
    digits = share % scale
    fraction = digits.cast(pl.String).str.zfill(decimals).str.strip_chars_end("0")
    return (
        pl.when(digits == 0)
        .then((share // scale).cast(pl.String))
        .otherwise(pl.concat_str((share // scale).cast(pl.String), pl.lit("."), fraction))
    )


def count_students_in_cells(connection: duckdb.DuckDBPyConnection, cells: pl.Series) -> int:
    """Returns how many students of a roster have their SSID in one of these cells."""
    numbers = cells.str.extract_all("[0-9]{10}").explode().drop_nulls()
    connection.register("numbers", numbers.alias("SSID").to_frame().to_arrow())
    found = connection.execute(
        "SELECT count(DISTINCT SSID) FROM numbers SEMI JOIN roster USING (SSID)"
    )
    row = found.fetchone()
    connection.unregister("numbers")
    return int(row[0]) if row else 0
