"""The rules of matching: what each forgives, what it gets wrong, and how that is counted.

Belongs here: hand-made cases and the synthetic state. Does not belong here: the service.
"""

from __future__ import annotations

from datetime import date
from unicodedata import normalize

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from ccgi_pipeline.ssid_lookup.research.matching_rules import (
    ANSWER_SCHEMA,
    PROBABILISTIC,
    RULES,
    answer_by_probability,
    answer_by_rules,
    compare_rules,
    reduce_to_letters,
    summarize_recovery,
    summarize_rules,
)
from ccgi_pipeline.synthetic.identities import (
    APPLICATION_SCHEMA,
    IDENTITY_SCHEMA,
    applications,
    identities,
)

SCHOOL, OTHER = "33671730127316", "01611920130005"
BORN = date(2008, 3, 7)
SOUNDS = {"soundex", "metaphone", "nysiis"}
WIDER = {"careful", "careful_any_school"}


def student(ssid: str, first: str, last: str, **more: str | date) -> dict[str, object]:
    own = {"SSID": ssid, "FirstName": first, "LastName": last}
    return own | {"BirthDate": BORN, "CDSCode": SCHOOL} | more


def application(first: str, last: str, **more: str | date | None) -> dict[str, object]:
    own = {"app_id": 1, "firstname": first, "lastname": last, "birthdate": BORN}
    return own | {"hs_cds_full": SCHOOL, "true_ssid": "1"} | more


def state(*students: dict[str, object]) -> pl.DataFrame:
    return pl.DataFrame(students, schema=IDENTITY_SCHEMA)


def asked(*written: dict[str, object]) -> pl.DataFrame:
    numbered = [row | {"app_id": number + 1} for number, row in enumerate(written)]
    return pl.DataFrame(numbered, schema=APPLICATION_SCHEMA)


def answering(known: pl.DataFrame, written: dict[str, object]) -> dict[str, str | None]:
    """The SSID that each rule answers, by rule."""
    return dict(answer_by_rules(known, asked(written)).select("rule", "ssid").iter_rows())


KNOWN = state(
    student("1", "Elizabeth", "García-López", AliasFirstName="Lissette", AliasLastName="Sosa"),
    student("1", "Elizabeth", "García-López", AliasFirstName="Lissette", AliasLastName="Sosa",
            CDSCode=OTHER),
    student("2", "Mateo", "Hernández", BirthDate=date(2007, 12, 31)),
)  # fmt: skip


@pytest.mark.parametrize(
    ("written", "rules"),
    [
        pytest.param(
            application("Lissette", "Sosa"), {"alias"} | WIDER,
            id="an alias",
        ),
        pytest.param(
            application("Elizabeth", "Garcia Lopez"),
            {"plain_letters"} | SOUNDS | WIDER,
            id="marks dropped",
        ),
        pytest.param(
            application("Liz", "García-López"), {"nickname"} | WIDER, id="a nickname"
        ),
        pytest.param(
            application("Elizabeth", "García-López", birthdate=date(2008, 7, 3)),
            {"day_and_month_swapped"} | WIDER,
            id="day and month swapped",
        ),
        pytest.param(
            application("García-López", "Elizabeth"), {"names_swapped"} | WIDER,
            id="names swapped",
        ),
        pytest.param(
            application("Elizabeth", "García-Lópes"), SOUNDS,
            id="a name that sounds alike",
        ),
        pytest.param(
            application("Elizabet", "García-López"),
            {"first_initial", "first_initial_any_school"},
            id="a typing error in the first name",
        ),
        pytest.param(
            application("Elizabeth", "García-López", hs_cds_full="37683380101204"),
            {"any_school", "first_initial_any_school", "careful_any_school"},
            id="another school",
        ),
        pytest.param(
            application("Elizabeth", "García-López", hs_cds_full=None),
            {"any_school", "first_initial_any_school", "careful_any_school"},
            id="no school",
        ),
        pytest.param(
            application("Elizabeth", "García-López", birthdate=date(2009, 3, 7)), set(),
            id="a wrong year",
        ),
        pytest.param(
            application("Elizabeth", "García"), set(),
            id="a double name shortened",
        ),
    ],
)  # fmt: skip
def test_a_mistake_is_forgiven_by_the_rules_that_are_about_it(
    written: dict[str, object], rules: set[str]
) -> None:
    found = answering(KNOWN, written)
    assert found == {rule.name: "1" if rule.name in rules else None for rule in RULES}


def test_every_rule_answers_what_is_written_without_a_mistake() -> None:
    for school in (SCHOOL, OTHER):
        found = answering(KNOWN, application("Elizabeth", "García-López", hs_cds_full=school))
        assert found == {rule.name: "1" for rule in RULES}


def test_every_rule_takes_a_name_with_its_accents_apart_for_the_same() -> None:
    written = application("Elizabeth", normalize("NFD", "García-López"))
    assert answering(KNOWN, written) == {rule.name: "1" for rule in RULES}
    apart = state(student("1", normalize("NFD", "Émile"), normalize("NFD", "Núñez")))
    assert answering(apart, application("Émile", "Núñez")) == {rule.name: "1" for rule in RULES}


def test_a_nickname_is_found_in_either_direction_and_whatever_its_accents() -> None:
    known = state(student("1", "Joe", "Smith"), student("2", "Benjamín", "Ruiz"))
    assert answering(known, application("Joseph", "Smith"))["nickname"] == "1"
    assert answering(known, application("Ben", "Ruiz"))["nickname"] == "2"
    assert answering(known, application("Tony", "Smith"))["nickname"] is None


def test_soundex_alone_takes_garza_for_garcia() -> None:
    found = answering(state(student("1", "Ana", "García")), application("Ana", "Garza"))
    assert {rule for rule, ssid in found.items() if ssid} == {"soundex"}


def test_a_day_beyond_the_twelfth_is_no_month() -> None:
    known = state(student("1", "Ana", "Ruiz", BirthDate=date(2008, 1, 31)))
    written = application("Ana", "Ruiz", birthdate=date(2008, 1, 30))
    assert answering(known, written)["day_and_month_swapped"] is None


def test_two_students_whom_a_rule_cannot_tell_apart_get_no_answer() -> None:
    twins = state(student("1", "Jada", "Cruz"), student("2", "Jasmine", "Cruz"))
    found = answer_by_rules(twins, asked(application("Jade", "Cruz")))
    by_initial = found.filter(rule="first_initial").row(0, named=True)
    assert (by_initial["candidates"], by_initial["ssid"]) == (2, None)


def test_two_students_alike_in_all_fields_get_no_answer_from_any_rule() -> None:
    alike = state(student("1", "Jada", "Cruz"), student("2", "Jada", "Cruz"))
    found = answer_by_rules(alike, asked(application("Jada", "Cruz")))
    assert found["candidates"].to_list() == [2] * len(RULES)
    assert found["ssid"].null_count() == len(RULES)


def test_an_exact_match_is_never_made_doubtful_by_a_wider_rule() -> None:
    twins = state(student("1", "Jada", "Cruz"), student("2", "Jasmine", "Cruz"))
    assert set(answering(twins, application("Jada", "Cruz")).values()) == {"1"}


def test_plain_letters_are_those_of_the_alphabet() -> None:
    names = pl.DataFrame({"name": ["Đỗ", "O'Brien", "García-López", "De La Cruz", "Nguyễn"]})
    assert names.select(reduce_to_letters(pl.col("name"))).to_series().to_list() == [
        "do", "obrien", "garcialopez", "delacruz", "nguyen"
    ]  # fmt: skip


# --- judging ------------------------------------------------------------------------------------


def test_false_matches_gains_and_doubtful_answers_are_counted_right() -> None:
    known = state(
        student("1", "Jada", "Cruz"),
        student("2", "Mia", "Cruz"),
        student("3", "Maya", "Ruiz"),
        student("4", "Nia", "Ruiz", CDSCode=OTHER),
        student("5", "Noa", "Ruiz", CDSCode=OTHER),
    )
    written = asked(
        application("Jada", "Cruz", true_ssid="1"),  # exact
        application("Mya", "Cruz", true_ssid="2", error="typo_in_first_name"),  # the right one
        application("Mary", "Ruiz", true_ssid=None),  # a stranger, taken for 3
        application("Jo", "Cruz", true_ssid="9"),  # somebody else, taken for 1
        application("Nea", "Ruiz", hs_cds_full=OTHER, true_ssid="4"),  # 4 or 5
    )
    table = compare_rules(known, written)
    assert table["rule"].to_list() == [rule.name for rule in RULES]
    exact, by_initial = (table.row(by_predicate=pl.col("rule") == rule, named=True)
                         for rule in ("exact", "first_initial"))  # fmt: skip
    assert exact == {
        "rule": "exact", "asked": 5, "matched": 1, "match_rate": 20.0, "gain": 0.0, "right": 1,
        "false_matches": 0, "false_share": 0.0, "false_share_of_gain": None, "ambiguous": 0,
    }  # fmt: skip
    assert by_initial["matched"] == 4
    assert by_initial["gain"] == pytest.approx(60)
    assert (by_initial["right"], by_initial["false_matches"], by_initial["ambiguous"]) == (2, 2, 1)
    assert by_initial["false_share"] == pytest.approx(50)
    assert by_initial["false_share_of_gain"] == pytest.approx(200 / 3)
    shares = summarize_recovery(answer_by_rules(known, written)).row(
        by_predicate=pl.col("rule") == "first_initial", named=True
    )
    assert shares["typo_in_first_name"] == 100
    assert shares["none"] == pytest.approx(100 / 3)


def test_the_gain_of_a_rule_asked_for_a_sample_is_over_the_same_sample() -> None:
    known = state(student("1", "Jada", "Cruz"), student("2", "Mia", "Sosa"))
    written = asked(application("Jada", "Cruz"), application("Mya", "Sosa", true_ssid="2"))
    found = answer_by_rules(known, written)
    sample = found.filter(pl.col("rule") == "first_initial", pl.col("app_id") == 2)
    table = summarize_rules(pl.concat([found.filter(rule="exact"), sample]))
    assert table["gain"].to_list() == [0.0, 100.0]


# --- the synthetic state ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def synthetic() -> tuple[pl.DataFrame, pl.DataFrame]:
    known = pl.concat(identities(60_000, seed=4))
    return known, applications(known, 6_000, seed=8)


@pytest.fixture(scope="module")
def answered(synthetic: tuple[pl.DataFrame, pl.DataFrame]) -> pl.DataFrame:
    return answer_by_rules(*synthetic)


def test_each_synthetic_mistake_is_recovered_by_its_rule(answered: pl.DataFrame) -> None:
    shares = {row["rule"]: row for row in summarize_recovery(answered).iter_rows(named=True)}
    for rule, error in (
        ("alias", "alias"),
        ("plain_letters", "mark_dropped"),
        ("day_and_month_swapped", "day_and_month_swapped"),
        ("names_swapped", "names_swapped"),
        ("any_school", "other_school"),
        ("first_initial", "typo_in_first_name"),
    ):
        assert shares[rule][error] > 93, rule
        assert shares["exact"][error] < 3, rule
    # The list of nicknames that the rule knows is not the one that applicants go by.
    assert 40 < shares["nickname"]["nickname"] < 90
    assert shares["exact"]["none"] > 99


def test_the_exact_rule_is_never_wrong_about_an_application_without_a_mistake(
    answered: pl.DataFrame,
) -> None:
    exact = answered.filter(
        pl.col("rule") == "exact", pl.col("error").is_null(), pl.col("ssid").is_not_null()
    )
    assert exact.height > 3_500
    assert exact["ssid"].eq_missing(exact["true_ssid"]).all()


def test_the_table_adds_up(answered: pl.DataFrame) -> None:
    table = summarize_rules(answered)
    assert (table["right"] + table["false_matches"] == table["matched"]).all()
    assert (table["gain"] >= 0).all()
    assert answered.schema == pl.Schema(ANSWER_SCHEMA)


@pytest.mark.slow
def test_the_probabilistic_rule_forgives_typing_errors_and_knows_nothing_of_the_truth(
    synthetic: tuple[pl.DataFrame, pl.DataFrame], answered: pl.DataFrame
) -> None:
    known, written = synthetic
    probable = answer_by_probability(known, written)
    assert probable.schema == pl.Schema(ANSWER_SCHEMA)
    assert set(probable["rule"]) == {PROBABILISTIC}
    table = summarize_rules(pl.concat([answered.filter(rule="exact"), probable]))
    row = table.row(by_predicate=pl.col("rule") == PROBABILISTIC, named=True)
    assert row["gain"] > 8
    assert row["false_share"] < 0.5
    without_truth = written.with_columns(
        pl.lit(None, dtype=pl.String).alias("true_ssid"),
        pl.lit(None, dtype=pl.String).alias("error"),
    )
    blind = answer_by_probability(known, without_truth)
    said = ["app_id", "candidates", "ssid"]
    assert_frame_equal(probable.select(said), blind.select(said))
