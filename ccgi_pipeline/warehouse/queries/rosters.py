"""Current rosters: who is at which school by OneRoster, and how that agrees with the transcripts.

Belongs here: OneRoster's schools with their CDS codes, the views over active records, and the
comparison of the two rosters. Does not belong here: loading (loading), the directory (districts).
"""

from __future__ import annotations

import duckdb
import polars as pl

from ccgi_pipeline.feeds import oneroster
from ccgi_pipeline.feeds.transcript import STUDENT
from ccgi_pipeline.warehouse.storage.schema import transaction

_SCHOOL = "'school'"

VIEWS = {
    "oneroster_current_schools": f"""
        SELECT org._sender, org.sourcedId, org.name, org.identifier, org.parentSourcedId,
            code."CDSCode", code.told_by
        FROM {oneroster.ORGS.name} AS org LEFT JOIN school_codes AS code
            ON code._sender = org._sender AND code.sourcedId = org.sourcedId
        WHERE org._active AND org.type = {_SCHOOL}
    """,
    "oneroster_current_places": f"""
        SELECT DISTINCT person._sender, person.sourcedId, person.role, place.org
        FROM (
            SELECT _sender, sourcedId, role,
                unnest(string_split(orgSourcedIds, ',')) AS org
            FROM {oneroster.USERS.name} WHERE _active AND role IS NOT NULL
            UNION ALL
            SELECT _sender, userSourcedId, role, orgSourcedId
            FROM {oneroster.ROLES.name} WHERE _active
        ) AS person, (SELECT trim(person.org) AS org) AS place
    """,
    "oneroster_current_students": f"""
        SELECT person._sender, person.sourcedId, person.givenName, person.familyName,
            person.grades, person.identifier, person.userIds, person.username,
            place.org AS schoolSourcedId, school."CDSCode"
        FROM {oneroster.USERS.name} AS person
        JOIN oneroster_current_places AS place
            ON place._sender = person._sender AND place.sourcedId = person.sourcedId
        JOIN oneroster_current_schools AS school
            ON school._sender = place._sender AND school.sourcedId = place.org
        WHERE person._active AND place.role = 'student'
    """,
    "oneroster_current_teachers": f"""
        SELECT person._sender, person.sourcedId, person.givenName, person.familyName,
            person.identifier, person.email, place.org AS schoolSourcedId, school."CDSCode"
        FROM {oneroster.USERS.name} AS person
        JOIN oneroster_current_places AS place
            ON place._sender = person._sender AND place.sourcedId = person.sourcedId
        JOIN oneroster_current_schools AS school
            ON school._sender = place._sender AND school.sourcedId = place.org
        WHERE person._active AND place.role = 'teacher'
    """,
    "oneroster_current_classes": f"""
        SELECT class._sender, class.sourcedId, class.title, class.classCode, class.termSourcedIds,
            class.periods, course.title AS course, course.courseCode, class.schoolSourcedId,
            school."CDSCode",
            count(*) FILTER (enrollment.role = 'student') AS students,
            count(*) FILTER (enrollment.role = 'teacher') AS teachers
        FROM {oneroster.CLASSES.name} AS class
        LEFT JOIN {oneroster.COURSES.name} AS course ON course._sender = class._sender
            AND course.sourcedId = class.courseSourcedId AND course._active
        LEFT JOIN oneroster_current_schools AS school
            ON school._sender = class._sender AND school.sourcedId = class.schoolSourcedId
        LEFT JOIN {oneroster.ENROLLMENTS.name} AS enrollment ON enrollment._sender = class._sender
            AND enrollment.classSourcedId = class.sourcedId AND enrollment._active
        WHERE class._active GROUP BY ALL
    """,
}
"""Views over the active records of all districts: schools, users' places, students, teachers and
classes (with how many are in them). A student of two schools has two rows."""


def create_views(connection: duckdb.DuckDBPyConnection) -> None:
    """Makes the views where they are missing."""
    known = {
        name
        for (name,) in connection.execute(
            "SELECT view_name FROM duckdb_views() WHERE database_name = 'lake'"
        ).fetchall()
    }
    with transaction(connection):
        for name, query in VIEWS.items():
            if name not in known:
                connection.execute(f"CREATE VIEW {name} AS {query}")


def match_school_codes(schools: pl.DataFrame, directory: pl.DataFrame) -> pl.DataFrame:
    """The CDS code of each school (``_sender``, ``sourcedId``, ``name``, ``identifier``).

    It is told by a CDS code among its ids, by its NCES ID (the directory's district and school
    part), or by its name, if the district has one school of that name. ``directory`` has
    ``CDSCode``, ``School`` and, of a received one, ``NCESDist`` and ``NCESSchool``.
    """
    of_districts = directory.filter(pl.col("CDSCode").str.tail(7) != "0000000").select(
        "CDSCode",
        pl.col("CDSCode").str.head(7).alias("_sender"),
        pl.concat_str("NCESDist", "NCESSchool").alias("nces"),
        pl.col("NCESSchool").alias("nces_school"),
        _folded("School").alias("folded"),
    )
    asked = schools.with_columns(
        _folded("name").alias("folded"),
        pl.col("identifier").str.replace_all(r"[^0-9]", "").alias("digits"),
    )
    by_id = [
        _told("cds code", asked, of_districts, "identifier", "CDSCode"),
        _told("cds code", asked, of_districts, "sourcedId", "CDSCode"),
        _told("nces id", asked, of_districts, "digits", "nces"),
        _told("nces id", asked, of_districts, "digits", "nces_school"),
    ]
    unique = of_districts.filter(pl.struct("_sender", "folded").is_unique())
    by_name = _told("name", asked, unique, "folded", "folded")
    return pl.concat([*by_id, by_name]).unique(
        ["_sender", "sourcedId"], keep="first", maintain_order=True
    )


def _folded(column: str) -> pl.Expr:
    return pl.col(column).str.to_lowercase().str.replace_all(r"[^a-z0-9]", "")


def _told(by: str, asked: pl.DataFrame, known: pl.DataFrame, here: str, there: str) -> pl.DataFrame:
    """Schools whose ``here`` is a known school's ``there``."""
    known = known.select("_sender", "CDSCode", pl.col(there).alias("told")).drop_nulls()
    found = asked.select("_sender", "sourcedId", pl.col(here).alias("told")).join(
        known.filter(pl.col("told") != ""), on=["_sender", "told"]
    )
    return found.select("_sender", "sourcedId", "CDSCode", pl.lit(by).alias("told_by"))


def record_school_codes(connection: duckdb.DuckDBPyConnection, directory: pl.DataFrame) -> None:
    """Notes the CDS codes of all schools of OneRoster sets, if they have changed."""
    schools = connection.sql(
        f"SELECT _sender, sourcedId, name, identifier FROM {oneroster.ORGS.name} "
        f"WHERE _active AND type = {_SCHOOL}"
    ).pl()
    new = match_school_codes(schools, directory).sort("_sender", "sourcedId")
    old = connection.sql("FROM school_codes ORDER BY _sender, sourcedId").pl()
    if new.equals(old.select(new.columns).cast(new.schema)):
        return
    with transaction(connection):
        connection.execute("DELETE FROM school_codes")
        connection.register("codes", new.to_arrow())
        connection.execute("INSERT INTO school_codes BY NAME SELECT * FROM codes")
        connection.unregister("codes")


DISAGREEMENT_SHARE = 0.10
"""Share of a school's students in one roster only from which on the two are said to disagree: some
students come and go between two exports, a tenth of a school does not."""


def find_disagreeing_schools(covered: pl.DataFrame) -> pl.DataFrame:
    """The schools of ``covered`` (as of ``coverage``) whose rosters disagree, the worst first."""
    apart = pl.col("only in transcripts") + pl.col("only in OneRoster")
    return covered.filter(apart > DISAGREEMENT_SHARE * (apart + pl.col("in both"))).sort(
        apart, descending=True, maintain_order=True
    )


def compare_rosters(connection: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """Students of the transcript roster and of OneRoster, counted by school.

    ``district``, ``school`` (their codes), ``in both``, ``only in transcripts``,
    ``only in OneRoster``: of districts that send both. A student is the same in both if one of the
    ids that OneRoster has of them (``identifier``, ``sourcedId``, ``username``, ``userIds``) is
    their local id or SSID.
    """
    return connection.sql(
        f"""
        WITH sis AS (
            SELECT _sender, sourcedId, any_value("CDSCode") AS school,
                list_concat(
                    [any_value(identifier), sourcedId, any_value(username)],
                    regexp_extract_all(
                        coalesce(any_value(userIds), ''), '[^:{{}},]+:([^:{{}},]+)', 1
                    )
                ) AS ids
            FROM lake.oneroster_current_students GROUP BY _sender, sourcedId
        ),
        roster AS (
            SELECT _sender, "StateID", "PrimaryCDSCode" AS school,
                [ "LocalStudentID", "StateID" ] AS ids
            FROM lake.{STUDENT.name} WHERE _active
        ),
        sis_ids AS (SELECT DISTINCT _sender, sourcedId, unnest(ids) AS id FROM sis),
        roster_ids AS (SELECT DISTINCT _sender, "StateID", unnest(ids) AS id FROM roster),
        same AS (
            SELECT DISTINCT _sender, sourcedId, "StateID"
            FROM sis_ids JOIN roster_ids USING (_sender, id)
        ),
        counted AS (
            SELECT _sender, school,
                count(*) FILTER (found) AS agreed, count(*) FILTER (NOT found) AS transcripts,
                0 AS oneroster
            FROM (
                SELECT _sender, school,
                    (_sender, "StateID") IN (SELECT (_sender, "StateID") FROM same) AS found
                FROM roster
            ) GROUP BY ALL
            UNION ALL
            SELECT _sender, school, 0, 0, count(*)
            FROM sis
            WHERE (_sender, sourcedId) NOT IN (SELECT (_sender, sourcedId) FROM same)
            GROUP BY ALL
        )
        SELECT _sender AS district, coalesce(school, 'unknown') AS school,
            sum(agreed)::BIGINT AS "in both", sum(transcripts)::BIGINT AS "only in transcripts",
            sum(oneroster)::BIGINT AS "only in OneRoster"
        FROM counted
        WHERE _sender IN (SELECT _sender FROM sis) AND _sender IN (SELECT _sender FROM roster)
        GROUP BY ALL ORDER BY ALL
        """
    ).pl()
