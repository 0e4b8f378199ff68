"""A first look into the warehouse, for analysts. It shows counts, and no student.

Opens the warehouse that CCGI_WAREHOUSE names, or that of `ccgi demo`, read-only.
Start it with `marimo edit docs/notebooks/warehouse.py`.
"""

import marimo

app = marimo.App(width="medium", app_title="A first look into the warehouse")


@app.cell
def _():
    import os
    from pathlib import Path

    import altair as alt
    import marimo as mo

    from ccgi_pipeline.warehouse.storage.connection import open_warehouse

    warehouse = Path(os.environ.get("CCGI_WAREHOUSE", "data/demo/warehouse"))
    connection = open_warehouse(warehouse, read_only=True)
    return alt, connection, mo, warehouse


@app.cell
def _(connection, mo, warehouse):
    (day,) = connection.sql("SELECT night FROM report_day").fetchone()
    mo.md(f"# A first look\n\nThe warehouse in `{warehouse.name}`, as of the night of {day}.")
    return (day,)


@app.cell
def _(connection, mo):
    views = connection.sql(
        """
        SELECT view_name AS view, split_part(comment, ':', 1) AS "what it holds"
        FROM duckdb_views()
        WHERE database_name = 'lake' AND schema_name = 'main' AND comment IS NOT NULL
        ORDER BY view
        """
    ).pl()
    mo.vstack([mo.md("## What there is to query"), mo.ui.table(views)])
    return (views,)


@app.cell
def _(connection, mo):
    students = connection.sql(
        """
        SELECT "District" AS district, "Grade Level" AS grade, count(*) AS students
        FROM report_roster GROUP BY ALL ORDER BY ALL
        """
    ).pl()
    mo.vstack([mo.md("## Students on the rosters"), mo.ui.table(students)])
    return (students,)


@app.cell
def _(connection, mo):
    aid = connection.sql(
        """
        SELECT "District" AS district, "Application Status" AS status,
            sum("# of Students") AS students
        FROM report_fafsa_applications_agg WHERE "Grade Level" = '12' GROUP BY ALL ORDER BY ALL
        """
    ).pl()
    mo.vstack([mo.md("## Financial aid applications in grade 12"), mo.ui.table(aid)])
    return (aid,)


@app.cell
def _(alt, mo, students):
    chart = (
        alt.Chart(students)
        .mark_bar()
        .encode(
            x=alt.X("students:Q", title="Students"),
            y=alt.Y("district:N", title=None),
            color=alt.Color("grade:N", title="Grade"),
        )
    )
    mo.ui.altair_chart(chart)
    return (chart,)


@app.cell
def _(connection):
    events = connection.sql(
        """
        SELECT california_day(OccurredAt) AS day, count(*) AS registrations
        FROM current_account_registrations GROUP BY ALL ORDER BY ALL
        """
    ).pl()
    events
    return (events,)


if __name__ == "__main__":
    app.run()
