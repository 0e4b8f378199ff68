"""Current rosters: who is at which school by OneRoster, compared with the transcript rosters.

Belongs here: the views over OneRoster's active records, and the comparison of the two rosters. Does
not belong here: loading records (load), the schools' CDS codes (load.school_codes).
"""

from __future__ import annotations

import duckdb
import polars as pl

from ccgi_pipeline.feeds import oneroster
from ccgi_pipeline.feeds.transcript import STUDENT
from ccgi_pipeline.warehouse.storage.schema import qualify_table, transaction

_SCHOOL = "'school'"

VIEWS = {
    "oneroster_current_schools": f"""
        SELECT org._sender, org.sourcedId, org.name, org.identifier, org.parentSourcedId,
            code."CDSCode", code.told_by
        FROM {oneroster.ORGS.name} AS org LEFT JOIN {qualify_table("school_codes")} AS code
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
"""Views over the active records of all districts: schools, users by school, students, teachers, and
classes with their numbers of students and teachers. A student of two schools has two rows."""


def create_views(connection: duckdb.DuckDBPyConnection) -> None:
    """Creates the views that are missing."""
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


DISAGREEMENT_SHARE = 0.10
"""The rosters of a school disagree if a larger share of its students is in only one of them. Some
students come and go between two exports; a tenth of a school does not."""


def find_disagreeing_schools(compared: pl.DataFrame) -> pl.DataFrame:
    """Returns the schools of ``compared`` (as ``compare_rosters`` does) that disagree most first.

    ``DISAGREEMENT_SHARE`` says which schools disagree.
    """
    apart = pl.col("only in transcripts") + pl.col("only in OneRoster")
    return compared.filter(apart > DISAGREEMENT_SHARE * (apart + pl.col("in both"))).sort(
        apart, descending=True, maintain_order=True
    )


def compare_rosters(connection: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """Counts the students of the transcript roster and of OneRoster by school.

    Returns ``district``, ``school`` (their codes), ``in both``, ``only in transcripts`` and
    ``only in OneRoster`` for districts that send both. A student is in both if one of OneRoster's
    ids (``identifier``, ``sourcedId``, ``username``, ``userIds``) is the local id or the SSID.
    """
    sizes = connection.execute(
        f"SELECT _sender, count(*) AS students FROM lake.{STUDENT.name} WHERE _active "
        f"AND _sender IN (SELECT _sender FROM lake.{oneroster.USERS.name} WHERE _active) "
        "GROUP BY ALL ORDER BY ALL"
    ).pl()
    before = pl.col("students").cum_sum() - pl.col("students")
    parts = sizes.group_by(before // _STUDENTS_AT_ONCE, maintain_order=True)
    counted = [
        connection.execute(_COMPARISON, {"first": part[0], "last": part[-1]}).pl()
        for part in parts.agg("_sender")["_sender"]
    ]
    return pl.concat([pl.DataFrame(schema=_COMPARED), *counted])


_STUDENTS_AT_ONCE = 200_000
"""Students whose ids lie in memory together."""
_COMPARED = {
    "district": pl.String,
    "school": pl.String,
    "in both": pl.Int64,
    "only in transcripts": pl.Int64,
    "only in OneRoster": pl.Int64,
}
_COMPARISON = f"""
    WITH sis AS MATERIALIZED (
        SELECT _sender, sourcedId, any_value("CDSCode") AS school,
            list_concat(
                [any_value(identifier), sourcedId, any_value(username)],
                list_transform(
                    regexp_extract_all(
                        coalesce(any_value(userIds), ''), '[^:{{}},]+:([^{{}},]+)', 1
                    ),
                    lambda id: trim(id)
                )
            ) AS ids
        FROM lake.oneroster_current_students WHERE _sender BETWEEN $first AND $last
        GROUP BY _sender, sourcedId
    ),
    roster AS MATERIALIZED (
        SELECT _sender, "StateID", "PrimaryCDSCode" AS school,
            [ "LocalStudentID", "StateID" ] AS ids
        FROM lake.{STUDENT.name} WHERE _active AND _sender BETWEEN $first AND $last
    ),
    sis_ids AS MATERIALIZED (SELECT _sender, sourcedId, unnest(ids) AS id FROM sis),
    roster_ids AS MATERIALIZED (SELECT _sender, "StateID", unnest(ids) AS id FROM roster),
    in_sis AS (SELECT _sender, "StateID" FROM roster_ids SEMI JOIN sis_ids USING (_sender, id)),
    in_roster AS (SELECT _sender, sourcedId FROM sis_ids SEMI JOIN roster_ids USING (_sender, id)),
    counted AS (
        SELECT _sender, school, count(*) AS agreed, 0 AS transcripts, 0 AS oneroster
        FROM roster SEMI JOIN in_sis USING (_sender, "StateID") GROUP BY ALL
        UNION ALL
        SELECT _sender, school, 0, count(*), 0
        FROM roster ANTI JOIN in_sis USING (_sender, "StateID") GROUP BY ALL
        UNION ALL
        SELECT _sender, school, 0, 0, count(*)
        FROM sis ANTI JOIN in_roster USING (_sender, sourcedId) GROUP BY ALL
    )
    SELECT _sender AS district, coalesce(school, 'unknown') AS school,
        sum(agreed)::BIGINT AS "in both", sum(transcripts)::BIGINT AS "only in transcripts",
        sum(oneroster)::BIGINT AS "only in OneRoster"
    FROM counted
    WHERE _sender IN (SELECT _sender FROM sis) AND _sender IN (SELECT _sender FROM roster)
    GROUP BY ALL ORDER BY ALL
"""
