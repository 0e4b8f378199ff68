"""The people of a district's system: students, parents, teachers, administrators.

Belongs here: lines about users, and what version 1.2 says of them in files of their own. Does not
belong here: classes (timetable).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

from ccgi_pipeline.feeds import oneroster
from ccgi_pipeline.feeds.spec import FeedSpec
from ccgi_pipeline.synthetic.names import POOLS
from ccgi_pipeline.synthetic.oneroster import schools
from ccgi_pipeline.synthetic.oneroster.export_styles import VERSION_1_2, Way
from ccgi_pipeline.synthetic.oneroster.students import SINCE, UNTIL, Students
from ccgi_pipeline.synthetic.oneroster.timetable import Timetable, student_ids
from ccgi_pipeline.synthetic.places import LAST_GRADE
from ccgi_pipeline.synthetic.random_draws import Integers, Part, look_up, repeated

_FIRST_NAMES = [name for pool in POOLS.values() for name in (*pool.girls, *pool.boys)]
_LAST_NAMES = [name for pool in POOLS.values() for name in pool.last]

_PARENTS_OF_ONE_IN, _LOCKED_OUT_ONE_IN = 4, 97
"""Of so many students, one has a parent who is a user; one has an account that is switched off."""
_ROLE = "_role"
"""A column beside users: their role in version 1.2."""


def user_lines(
    students: Students, table: Timetable, way: Way
) -> Iterator[tuple[FeedSpec, pl.DataFrame]]:
    """Users, and the files about them that the district sends."""
    rng = students.block.stream(Part.ONEROSTER)
    groups = [_student_users(students, way), _teachers(students, table, rng)]
    if way.parents:
        groups.append(_parents(students, rng))
    if not students.block.number:
        groups.append(_administrators(students, rng))
    everyone = pl.concat(groups, how="diagonal")
    version_1_2 = way.version == VERSION_1_2
    foreign = _UNTIL_1_1 if version_1_2 else _SINCE_1_2
    yield oneroster.USERS, _with_changes(students, everyone.drop(*foreign, _ROLE))
    if version_1_2:
        yield oneroster.USER_PROFILES, _profile_lines(everyone)
        yield oneroster.ROLES, _role_lines(everyone)
    if way.demographics:
        yield oneroster.DEMOGRAPHICS, _demographic_lines(students, way)


_UNTIL_1_1, _SINCE_1_2 = ("orgSourcedIds", "role"), ("preferredGivenName", "primaryOrgSourcedId")


def _student_users(students: Students, way: Way) -> pl.DataFrame:
    """The students."""
    count = len(students.grade)
    cells = students.cells
    local, ssid = students.local_id, cells["StateID"]
    ids = "{LDAP:" + local + "}"
    has_parent = _have_parents(students) if way.parents else np.empty(0, dtype=np.int64)
    agents = pl.Series([None], dtype=pl.String).new_from_index(0, count)
    agents = agents.scatter(has_parent, ("P" + local)[pl.Series(has_parent)])
    org = look_up(schools.school_ids(students.block.place), students.school)
    return pl.DataFrame(
        {
            "sourcedId": student_ids(students),
            "enabledUser": look_up(
                ["true", "false"], (np.arange(count) % _LOCKED_OUT_ONE_IN == 0).astype(np.int64)
            ),
            "orgSourcedIds": org,
            "primaryOrgSourcedId": org,
            "role": repeated("student", count),
            _ROLE: repeated("student", count),
            "username": local,
            "userIds": ids + ",{SSID:" + ssid + "}" if way.ssids else ids,
            "givenName": cells["FirstName"],
            "preferredGivenName": cells["PreferredFirstName"],
            "familyName": cells["LastName"],
            "middleName": cells["MiddleName"],
            "identifier": local,
            "email": local + "@" + _domain(students, "student"),
            "agentSourcedIds": agents,
            "grades": look_up([f"{grade:02d}" for grade in range(LAST_GRADE + 1)], students.grade),
            SINCE: students.since,
            UNTIL: students.until,
        }
    )


def _with_changes(students: Students, users: pl.DataFrame) -> pl.DataFrame:
    """Users (students first), and the lines of those who had no address until something changed."""
    changing = students.changing
    since = users[SINCE].to_numpy().copy()
    since[changing] = students.changes[changing]
    before = users[changing].with_columns(
        pl.lit(None, dtype=pl.String).alias("email"),
        pl.Series(UNTIL, students.changes[changing]),
    )
    return pl.concat([users.with_columns(pl.Series(SINCE, since)), before])


def _have_parents(students: Students) -> Integers:
    return np.arange(0, len(students.grade), _PARENTS_OF_ONE_IN)


def _parents(students: Students, rng: np.random.Generator) -> pl.DataFrame:
    """A parent of every few students, who comes and goes with them."""
    child = _have_parents(students)
    row = pl.Series(child)
    names = students.cells["LastName"][row]
    own = _adults(students, "P" + students.local_id[row], rng, names)
    return own.with_columns(
        *_roles("parent", "parent"),
        _org(students, students.school[child]),
        agentSourcedIds=student_ids(students)[row],
        **{SINCE: pl.Series(students.since[child]), UNTIL: pl.Series(students.until[child])},
    )


def _teachers(students: Students, table: Timetable, rng: np.random.Generator) -> pl.DataFrame:
    count = len(table.teacher_school)
    own = _adults(students, table.teacher_id, rng, _last_names(rng, count))
    return own.with_columns(*_roles("teacher", "teacher"), _org(students, table.teacher_school))


def _administrators(students: Students, rng: np.random.Generator) -> pl.DataFrame:
    """A principal for each school, and somebody at the district."""
    ids = pl.Series(schools.school_ids(students.block.place))
    count = len(ids)
    principals = _adults(students, "A" + ids, rng, _last_names(rng, count)).with_columns(
        *_roles("administrator", "principal"), _org(students, np.arange(count))
    )
    office = _adults(students, pl.Series([f"A{schools.DISTRICT}"]), rng, _last_names(rng, 1))
    at_district = pl.lit(schools.DISTRICT).alias("orgSourcedIds")
    return pl.concat(
        [
            principals,
            office.with_columns(
                *_roles("administrator", "districtAdministrator"),
                at_district,
                at_district.alias("primaryOrgSourcedId"),
            ),
        ],
        how="diagonal",
    )


def _adults(
    students: Students, ids: pl.Series, rng: np.random.Generator, names: pl.Series
) -> pl.DataFrame:
    """What lines of grown-ups have in common."""
    count = len(ids)
    first = look_up(_FIRST_NAMES, rng.integers(0, len(_FIRST_NAMES), count))
    user_name = ids.str.to_lowercase()
    return pl.DataFrame(
        {
            "sourcedId": ids,
            "enabledUser": repeated("true", count),
            "username": user_name,
            "givenName": first,
            "familyName": names,
            "email": user_name + "@" + _domain(students, "staff"),
            SINCE: np.zeros(count, dtype=np.int64),
            UNTIL: np.full(count, students.days),
        }
    )


def _last_names(rng: np.random.Generator, count: int) -> pl.Series:
    return look_up(_LAST_NAMES, rng.integers(0, len(_LAST_NAMES), count))


def _roles(role: str, of_1_2: str) -> tuple[pl.Expr, pl.Expr]:
    return pl.lit(role).alias("role"), pl.lit(of_1_2).alias(_ROLE)


def _org(students: Students, school: Integers) -> pl.Expr:
    ids = look_up(schools.school_ids(students.block.place), school)
    return pl.struct(ids.alias("orgSourcedIds"), ids.alias("primaryOrgSourcedId")).struct.unnest()


def _domain(students: Students, who: str) -> str:
    return f"{who}.{students.block.place.file_name.lower()}.example"


# --- files about users ------------------------------------------------------------------------


def _profile_lines(users: pl.DataFrame) -> pl.DataFrame:
    """The accounts that students and teachers have in the learning platform (version 1.2)."""
    return users.filter(pl.col(_ROLE).is_in(_HAVE_PROFILES)).select(
        _profile_id().alias("sourcedId"),
        pl.col("sourcedId").alias("userSourcedId"),
        pl.lit("LMS").alias("profileType"),
        pl.lit("lms.example").alias("vendorId"),
        pl.lit("SSO").alias("credentialType"),
        "username",
        SINCE,
        UNTIL,
    )


_HAVE_PROFILES = ("student", "teacher")


def _profile_id() -> pl.Expr:
    return pl.concat_str(pl.lit("UP-"), "sourcedId")


def _role_lines(users: pl.DataFrame) -> pl.DataFrame:
    """What users are, and where (version 1.2)."""
    return users.select(
        pl.concat_str(pl.lit("R-"), "sourcedId").alias("sourcedId"),
        pl.col("sourcedId").alias("userSourcedId"),
        pl.lit("primary").alias("roleType"),
        pl.col(_ROLE).alias("role"),
        pl.col("primaryOrgSourcedId").alias("orgSourcedId"),
        pl.when(pl.col(_ROLE).is_in(_HAVE_PROFILES))
        .then(_profile_id())
        .alias("userProfileSourcedId"),
        SINCE,
        UNTIL,
    )


_OTHER_SEX = {"1.1": None, VERSION_1_2: "other"}
"""Version 1.1 has male and female only."""
_RACES = {
    "americanIndianOrAlaskaNative": "1",
    "asian": "24",
    "blackOrAfricanAmerican": "6",
    "nativeHawaiianOrOtherPacificIslander": "3",
    "white": "7",
}
"""First digits of CALPADS race codes; Filipino (400) counts as Asian."""


def _demographic_lines(students: Students, way: Way) -> pl.DataFrame:
    """Demographics columns: what the roster has, as another vocabulary."""
    cells = students.cells
    digits = [cells[name].str.head(1) for name in ("RaceCode1", "RaceCode2")]
    races = {
        name: pl.Series(
            np.logical_or.reduce(
                [d.is_in(list(first)).fill_null(value=False).to_numpy() for d in digits]
            )
        )
        for name, first in _RACES.items()
    }
    flags = {
        **races,
        "demographicRaceTwoOrMoreRaces": cells["RaceCode2"].is_not_null(),
        "hispanicOrLatinoEthnicity": cells["HispanicEthnicity"],
    }
    return pl.DataFrame(
        {
            "sourcedId": student_ids(students),
            "birthDate": cells["DateOfBirth"],
            "sex": cells["Gender"].replace_strict(
                {"F": "female", "M": "male", "X": _OTHER_SEX[way.version]},
                return_dtype=pl.String,
            ),
            **{
                name: look_up(["false", "true"], flag.to_numpy().astype(np.int64))
                for name, flag in flags.items()
            },
            SINCE: students.since,
            UNTIL: students.until,
        }
    )
