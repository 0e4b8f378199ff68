"""Matching rules: what wider rules than the exact match would find, and their false matches.

CDE matches students exactly, and asked what an alias, a first initial or Soundex would add. Here
each rule answers applications whose true student is known, so that its gain can be compared with
its false matches. The probabilistic rule is Splink's Fellegi-Sunter model, trained without the
truth.

False matches grow with the number of students: a rule that errs once in a thousand among a million
may err once in forty among the state's twelve million. Compare rules at the real size.

Belongs here: the rules, their answers, and the summary of these. Does not belong here: the service,
which matches exactly (``service``, ``store``), and making applications (``synthetic.identities``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import duckdb
import jellyfish
import polars as pl
from nicknames import NickNamer
from splink import DuckDBAPI, Linker, SettingsCreator, block_on
from splink import comparison_library as compared

ANSWER_SCHEMA = {
    "rule": pl.String,
    "app_id": pl.Int64,
    "error": pl.String,
    "true_ssid": pl.String,
    "candidates": pl.Int64,
    "ssid": pl.String,
}
"""A rule's answer to an application: the number of students it finds, and the SSID if it is one."""


@dataclass(frozen=True)
class MatchingPass:
    """One way to find students: columns of ``asked`` that equal columns of ``held``.

    Each item of a list column is compared.
    """

    asked: tuple[str, ...]
    held: tuple[str, ...]


@dataclass(frozen=True)
class MatchingRule:
    """A sequence of passes; a pass is made if the passes before it found nobody.

    If a pass finds two students, the application stays without an answer.
    """

    name: str
    description: str
    passes: tuple[MatchingPass, ...]


_EXACT = MatchingPass(
    ("firstname", "lastname", "birthdate", "hs_cds_full"),
    ("FirstName", "LastName", "BirthDate", "CDSCode"),
)


def _exact_except(**columns: tuple[str, str] | None) -> MatchingPass:
    """Returns the exact pass with some pairs of columns replaced, or (None) left out."""
    own = dict(zip(_EXACT.asked, zip(_EXACT.asked, _EXACT.held, strict=True), strict=True))
    pairs = [columns.get(name, pair) for name, pair in own.items()]
    asked, held = zip(*(pair for pair in pairs if pair), strict=True)
    return MatchingPass(asked, held)


_INITIAL = ("first_initial", "first_initial")
_ALIAS = _exact_except(firstname=("firstname", "alias_first"), lastname=("lastname", "alias_last"))
_PLAIN = _exact_except(
    firstname=("plain_first", "plain_first"), lastname=("plain_last", "plain_last")
)
_NICKNAME = _exact_except(firstname=("other_forms", "plain_first"))
_DAY_AND_MONTH = _exact_except(birthdate=("birth_swapped", "BirthDate"))
_NAMES_SWAPPED = _exact_except(
    firstname=("lastname", "FirstName"), lastname=("firstname", "LastName")
)
_SOUNDEX = _exact_except(lastname=("soundex", "soundex"))
_METAPHONE = _exact_except(lastname=("metaphone", "metaphone"))
_NYSIIS = _exact_except(lastname=("nysiis", "nysiis"))
_BY_INITIAL = _exact_except(firstname=_INITIAL)
_ANY_SCHOOL = _exact_except(hs_cds_full=None)
_BY_INITIAL_ANY_SCHOOL = _exact_except(firstname=_INITIAL, hs_cds_full=None)

RULES = (
    MatchingRule("exact", "all required fields equal", (_EXACT,)),
    MatchingRule("alias", "or the names equal the alias", (_EXACT, _ALIAS)),
    MatchingRule("plain_letters", "or the names do without accents and marks", (_EXACT, _PLAIN)),
    MatchingRule("nickname", "or the first name is a nickname of the other", (_EXACT, _NICKNAME)),
    MatchingRule(
        "day_and_month_swapped", "or day and month change places", (_EXACT, _DAY_AND_MONTH)
    ),
    MatchingRule("names_swapped", "or the two names change places", (_EXACT, _NAMES_SWAPPED)),
    MatchingRule("soundex", "or the last names have one Soundex", (_EXACT, _SOUNDEX)),
    MatchingRule("metaphone", "or the last names have one Metaphone", (_EXACT, _METAPHONE)),
    MatchingRule("nysiis", "or the last names have one NYSIIS", (_EXACT, _NYSIIS)),
    MatchingRule("first_initial", "or only the first initial", (_EXACT, _BY_INITIAL)),
    MatchingRule("any_school", "or any school", (_EXACT, _ANY_SCHOOL)),
    MatchingRule(
        "first_initial_any_school",
        "or only the first initial, and any school",
        (_EXACT, _BY_INITIAL_ANY_SCHOOL),
    ),
    MatchingRule(
        "careful",
        "or plain letters, alias, nickname, swapped names or date, in this order",
        (_EXACT, _PLAIN, _ALIAS, _NICKNAME, _NAMES_SWAPPED, _DAY_AND_MONTH),
    ),
    MatchingRule(
        "careful_any_school",
        "the same, and in the end the exact names and date at any school",
        (_EXACT, _PLAIN, _ALIAS, _NICKNAME, _NAMES_SWAPPED, _DAY_AND_MONTH, _ANY_SCHOOL),
    ),
)
"""The exact match, and rules that add passes for applications for which it finds nobody."""


# --- answers ----------------------------------------------------------------------------------


def answer_by_rules(
    identities: pl.DataFrame, applications: pl.DataFrame, rules: Sequence[MatchingRule] = RULES
) -> pl.DataFrame:
    """Returns the answer of each rule to each application, in ``ANSWER_SCHEMA``.

    Args:
        identities: ``SSID``, ``FirstName``, ``LastName``, ``AliasFirstName``, ``AliasLastName``,
            ``BirthDate``, ``CDSCode``; a row for each school of a student.
        applications: ``app_id``, ``firstname``, ``lastname``, ``birthdate``, ``hs_cds_full``, and
            the truth: ``true_ssid``, ``error``.
        rules: the rules to use.
    """
    with duckdb.connect() as connection:
        _register(connection, "held", _prepare_held(identities))
        _register(connection, "asked", _prepare_asked(applications))
        passes = dict.fromkeys(made for rule in rules for made in rule.passes)
        found = {made: _run_pass(connection, made) for made in passes}
    truth = applications.select("app_id", "error", "true_ssid")
    return pl.concat(
        [_combine_passes(rule.name, truth, [found[made] for made in rule.passes]) for rule in rules]
    )


def _register(connection: duckdb.DuckDBPyConnection, name: str, frame: pl.DataFrame) -> None:
    connection.from_arrow(frame.to_arrow()).create(name)


def _run_pass(connection: duckdb.DuckDBPyConnection, made: MatchingPass) -> pl.DataFrame:
    """Returns the applications for which a pass finds students: how many, and one of them."""
    keys = [f"key_{number}" for number in range(len(made.asked))]
    held = ", ".join(f"{column} AS {key}" for column, key in zip(made.held, keys, strict=True))
    asked = ", ".join(
        f"{f'unnest({column})' if column in _LISTS else column} AS {key}"
        for column, key in zip(made.asked, keys, strict=True)
    )
    # Identifiers are those declared above; no value is in them.
    query = f"""
        SELECT app_id, count(DISTINCT SSID) AS candidates, min(SSID) AS ssid
        FROM (SELECT app_id, {asked} FROM asked) JOIN (SELECT SSID, {held} FROM held)
            USING ({", ".join(keys)})
        GROUP BY app_id
    """  # noqa: S608
    return connection.sql(query).pl()


def _combine_passes(name: str, truth: pl.DataFrame, found: list[pl.DataFrame]) -> pl.DataFrame:
    """Combines the results of a rule's passes to its answers."""
    # For each application, only the first pass that found a student counts.
    first = pl.concat(found).unique("app_id", keep="first", maintain_order=True)
    candidates = pl.col("candidates").fill_null(0)
    answered = truth.join(first, on="app_id", how="left", maintain_order="left").with_columns(
        pl.lit(name).alias("rule"), candidates, pl.when(candidates == 1).then("ssid").alias("ssid")
    )
    return answered.select(pl.col(column).cast(dtype) for column, dtype in ANSWER_SCHEMA.items())


# --- forms of names -----------------------------------------------------------------------------

_LISTS = {"other_forms"}
_SOUNDS: dict[str, Callable[[str], str]] = {
    "soundex": jellyfish.soundex,
    "metaphone": jellyfish.metaphone,
    "nysiis": jellyfish.nysiis,
}


def _prepare_held(identities: pl.DataFrame) -> pl.DataFrame:
    columns = ("SSID", "FirstName", "LastName", "BirthDate", "CDSCode")
    names = pl.col("FirstName", "LastName", "AliasFirstName", "AliasLastName")
    return (
        identities.with_columns(names.str.normalize("NFC"))
        .select(
            *columns,
            pl.coalesce("AliasFirstName", "FirstName").alias("alias_first"),
            pl.coalesce("AliasLastName", "LastName").alias("alias_last"),
            *_build_forms(pl.col("FirstName"), pl.col("LastName")),
        )
        .pipe(_add_sounds)
    )


def _prepare_asked(applications: pl.DataFrame) -> pl.DataFrame:
    birth = pl.col("birthdate").dt
    swappable = birth.day() <= 12  # noqa: PLR2004 - a year has twelve months
    composed = applications.with_columns(pl.col("firstname", "lastname").str.normalize("NFC"))
    return composed.select(
        *("app_id", "firstname", "lastname", "birthdate", "hs_cds_full"),
        pl.date(birth.year(), pl.when(swappable).then(birth.day()), birth.month()).alias(
            "birth_swapped"
        ),
        *_build_forms(pl.col("firstname"), pl.col("lastname")),
    ).pipe(lambda frame: _add_other_forms(_add_sounds(frame)))


def _build_forms(first: pl.Expr, last: pl.Expr) -> tuple[pl.Expr, ...]:
    return (
        first.str.head(1).alias("first_initial"),
        reduce_to_letters(first).alias("plain_first"),
        reduce_to_letters(last).alias("plain_last"),
    )


def reduce_to_letters(name: pl.Expr) -> pl.Expr:
    """Reduces a name to its lower-case letters a to z, without accents and other characters."""
    # For Unicode the bar of this letter is not an accent.
    letters = name.str.to_lowercase().str.replace_all("đ", "d").str.normalize("NFKD")
    return letters.str.replace_all("[^a-z]", "")


def _add_sounds(frame: pl.DataFrame) -> pl.DataFrame:
    """Adds the phonetic codes of ``plain_last``; each distinct name is encoded once."""
    names = frame.select(pl.col("plain_last").unique())
    sounds = {
        name: pl.Series([sound(last) for last in names.to_series()], dtype=pl.String)
        for name, sound in _SOUNDS.items()
    }
    return frame.join(names.with_columns(**sounds), on="plain_last", how="left")


def _add_other_forms(frame: pl.DataFrame) -> pl.DataFrame:
    """Adds ``other_forms``: the nicknames of ``plain_first``, and the names it is short for."""
    known = NickNamer()
    names = frame.select(pl.col("plain_first").unique())
    forms = [
        sorted(known.nicknames_of(name) | known.canonicals_of(name)) for name in names.to_series()
    ]
    other = pl.Series("other_forms", forms, dtype=pl.List(pl.String))
    return frame.join(names.with_columns(other), on="plain_first", how="left")


# --- the probabilistic rule ---------------------------------------------------------------------

PROBABILISTIC = "probabilistic"
_MIN_PROBABILITY = 0.99
"""Pairs with at least this probability count as one person."""
_FOUND_BY_NAME_AND_DATE = 0.7
"""The estimated share of true pairs that agree in both names and birth date, for the model."""
_PAIRS_TO_LEARN_FROM = 2_000_000
_SEED = 1


def answer_by_probability(identities: pl.DataFrame, applications: pl.DataFrame) -> pl.DataFrame:
    """Returns the answers of the probabilistic rule, in ``ANSWER_SCHEMA``.

    Takes the arguments of ``answer_by_rules``. The model learns from the two frames, not from the
    truth: from random pairs how often fields agree by chance; from pairs with the same birth date
    or the same names how often they agree for one person (expectation maximisation). A hundred
    thousand applications and a million students take a minute on two cores.
    """
    with duckdb.connect() as connection:
        found = _run_model(connection, _build_people(identities), _build_applicants(applications))
    truth = applications.select("app_id", "error", "true_ssid")
    return _combine_passes(PROBABILISTIC, truth, [found])


def _build_people(identities: pl.DataFrame) -> pl.DataFrame:
    """Returns a record for each name of each student, with all schools."""
    schools = identities.group_by("SSID", maintain_order=True).agg(
        pl.col("FirstName", "LastName", "AliasFirstName", "AliasLastName", "BirthDate").first(),
        pl.col("CDSCode").alias("schools"),
    )
    alias = schools.filter(
        pl.any_horizontal(pl.col("AliasFirstName", "AliasLastName").is_not_null())
    ).with_columns(
        pl.coalesce("AliasFirstName", "FirstName").alias("FirstName"),
        pl.coalesce("AliasLastName", "LastName").alias("LastName"),
    )
    return (
        pl.concat([schools, alias])
        .select(
            reduce_to_letters(pl.col("FirstName")).alias("first"),
            reduce_to_letters(pl.col("LastName")).alias("last"),
            pl.col("BirthDate").alias("birth"),
            "schools",
            pl.col("SSID").alias("of"),
        )
        .with_row_index("unique_id")
    )


def _build_applicants(applications: pl.DataFrame) -> pl.DataFrame:
    return applications.select(
        pl.col("app_id").cast(pl.UInt32).alias("unique_id"),
        reduce_to_letters(pl.col("firstname")).alias("first"),
        reduce_to_letters(pl.col("lastname")).alias("last"),
        pl.col("birthdate").alias("birth"),
        pl.concat_list("hs_cds_full").list.drop_nulls().alias("schools"),
        pl.col("app_id").cast(pl.String).alias("of"),
    )


def _run_model(
    connection: duckdb.DuckDBPyConnection, people: pl.DataFrame, applicants: pl.DataFrame
) -> pl.DataFrame:
    engine = DuckDBAPI(connection)
    _register(connection, "applicants", applicants)
    _register(connection, "people", people)
    inputs = [engine.register("applicants"), engine.register("people")]
    linker = Linker(inputs, _build_model(), log_level=None)
    learning = linker.training
    learning.estimate_probability_two_random_records_match(
        [block_on("first", "last", "birth")], recall=_FOUND_BY_NAME_AND_DATE
    )
    learning.estimate_u_using_random_sampling(max_pairs=_PAIRS_TO_LEARN_FROM, seed=_SEED)
    learning.estimate_parameters_using_expectation_maximisation(block_on("birth"))
    learning.estimate_parameters_using_expectation_maximisation(block_on("first", "last"))
    scored = linker.inference.predict(
        threshold_match_probability=_MIN_PROBABILITY
    ).as_duckdbpyrelation()
    return scored.query(
        "scored",
        """
        SELECT of_l::BIGINT AS app_id, count(DISTINCT of_r) AS candidates, min(of_r) AS ssid
        FROM scored GROUP BY app_id
        """,
    ).pl()


def _build_model() -> SettingsCreator:
    """Returns the model: similarity of names (rare ones count more), birth dates and schools."""
    return SettingsCreator(
        link_type="link_only",
        comparisons=[
            compared.JaroWinklerAtThresholds("first", [0.92, 0.8]),
            compared.JaroWinklerAtThresholds("last", [0.92, 0.8]).configure(
                term_frequency_adjustments=True
            ),
            compared.DateOfBirthComparison("birth", input_is_string=False),
            compared.ArrayIntersectAtSizes("schools", [1]),
        ],
        blocking_rules_to_generate_predictions=[
            block_on("birth"),
            block_on("first", "last", "schools[1]"),
        ],
        additional_columns_to_retain=["of"],
    )


# --- summary ------------------------------------------------------------------------------------


def summarize_rules(answered: pl.DataFrame) -> pl.DataFrame:
    """Summarizes each rule, in the order of ``answered``, which must have the exact rule's answers.

    Columns: ``asked``; ``matched`` (one student found); ``match_rate`` (percent of asked); ``gain``
    (points over the exact rule, on the same applications); ``right``; ``false_matches`` (another
    student than the true one, or any for a stranger); ``false_share`` (percent of matched);
    ``false_share_of_gain`` (percent of the matches beyond the exact rule's; null without any);
    ``ambiguous`` (several students, so no answer).
    """
    matched = pl.col("ssid").is_not_null()
    right = (pl.col("ssid") == pl.col("true_ssid")).fill_null(value=False)
    exact = answered.filter(pl.col("rule") == "exact").select(
        "app_id", exact_matched=matched, exact_false=matched & ~right
    )
    gained = pl.col("matched") - pl.col("exact_matched")
    gained_false = pl.col("false_matches") - pl.col("exact_false")
    return (
        answered.join(exact, on="app_id", how="left")
        .group_by("rule", maintain_order=True)
        .agg(
            pl.len().cast(pl.Int64).alias("asked"),
            matched.sum().cast(pl.Int64).alias("matched"),
            (matched & right).sum().cast(pl.Int64).alias("right"),
            (matched & ~right).sum().cast(pl.Int64).alias("false_matches"),
            (pl.col("candidates") > 1).sum().cast(pl.Int64).alias("ambiguous"),
            pl.col("exact_matched", "exact_false").sum().cast(pl.Int64),
        )
        .select(
            *("rule", "asked", "matched"),
            (100 * pl.col("matched") / pl.col("asked")).alias("match_rate"),
            (100 * gained / pl.col("asked")).alias("gain"),
            *("right", "false_matches"),
            (100 * pl.col("false_matches") / pl.col("matched")).fill_nan(0.0).alias("false_share"),
            pl.when(gained > 0).then(100 * gained_false / gained).alias("false_share_of_gain"),
            "ambiguous",
        )
    )


def summarize_recovery(answered: pl.DataFrame) -> pl.DataFrame:
    """Returns for each rule the percentage of applications with each ``error`` answered rightly.

    A row for each rule, a column for each error; ``none`` is for applications without one. Those of
    strangers are left out, because they have no right answer.
    """
    right = (pl.col("ssid") == pl.col("true_ssid")).fill_null(value=False)
    return (
        answered.filter(pl.col("true_ssid").is_not_null())
        .with_columns(pl.col("error").fill_null("none"))
        .group_by("rule", "error", maintain_order=True)
        .agg((100 * right.mean()).alias("right"))
        .pivot(on="error", index="rule", values="right", sort_columns=True)
    )


def compare_rules(identities: pl.DataFrame, applications: pl.DataFrame) -> pl.DataFrame:
    """Returns the summary of all rules (``summarize_rules``) but the probabilistic one."""
    return summarize_rules(answer_by_rules(identities, applications))
