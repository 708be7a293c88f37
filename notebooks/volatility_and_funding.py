"""From the warehouse to a volatility cone and a funding chart, as a marimo notebook.

`make demo` fetches the candles that it needs, but no funding; to open it:
DERIBIT_ENV=sandbox .venv/bin/marimo edit notebooks/volatility_and_funding.py
"""

import marimo

app = marimo.App(app_title="Volatility and funding")


@app.cell
def _():
    import altair as alt
    import duckdb
    import marimo as mo

    from deribit_pipeline import read
    from deribit_pipeline.settings import Settings

    warehouse = str(Settings.load().warehouse)
    return alt, duckdb, mo, read, warehouse


@app.cell
def _():
    instrument, first_day, last_day = "BTC-PERPETUAL", "2024-01-01", "2024-01-14"
    return first_day, instrument, last_day


@app.cell
def _(first_day, instrument, last_day, mo):
    mo.md(f"""
    # How much {instrument} moved, and what holding it cost

    {first_day} to {last_day}, UTC. The reader returns proved days, or names those that are not
    proved and the command that fetches them: a chart here covers every minute, or it is not drawn.
    """)
    return


@app.cell
def _(first_day, instrument, last_day, read):
    closes = read.candles(instrument, first_day, last_day, "60")[["close"]].reset_index()
    return (closes,)


@app.cell
def _(alt, closes):
    alt.Chart(closes, title="Hourly close", width=680, height=180).mark_line().encode(
        x=alt.X("opened_at:T", title=None),
        y=alt.Y("close:Q", title="quote currency", scale=alt.Scale(zero=False)),
    )
    return


@app.cell
def _(mo):
    mo.md("""
    ## The volatility cone

    For each window length, the distribution of the volatility realised over all windows of that
    length: lowest and highest, first and ninth decile, median, and the latest value. Short windows
    vary more than long ones, which gives the cone its shape. If the implied volatility of an option
    lies outside the cone at its time to expiry, the market expects something unlike the past.

    Yang and Zhang's estimator, from hourly candles made of minutes: the macro `volatility_cone` of
    the warehouse, which any DuckDB client can query.
    """)
    return


@app.cell
def _(duckdb, instrument, warehouse):
    with duckdb.connect(warehouse, read_only=True) as _connection:
        cone = _connection.execute(
            """
            select samples / 24 as days, windows, 100 * lowest as lowest, 100 * p10 as p10,
                   100 * p50 as median, 100 * p90 as p90, 100 * highest as highest,
                   100 * latest as latest
            from volatility_cone($instrument, 60, [12, 24, 48, 72, 120, 168, 240])
            where estimator = 'yang_zhang'
            """,
            {"instrument": instrument},
        ).df()
    return (cone,)


@app.cell
def _(alt, cone):
    _title = alt.Title(
        "Realised volatility by length of window",
        subtitle="line: median; bands: first to ninth decile, lowest to highest; dashed: latest",
    )
    _base = alt.Chart(cone, title=_title).encode(
        x=alt.X("days:Q", title="window, days"),
        tooltip=["days", "windows", "lowest", "p10", "median", "p90", "highest", "latest"],
    )
    alt.layer(
        _base.mark_area(opacity=0.15).encode(
            y=alt.Y("lowest:Q", title="percent a year", scale=alt.Scale(zero=False)), y2="highest"
        ),
        _base.mark_area(opacity=0.3).encode(y="p10:Q", y2="p90"),
        _base.mark_line().encode(y="median:Q"),
        _base.mark_line(
            point=alt.OverlayMarkDef(color="firebrick"), strokeDash=[4, 3], color="firebrick"
        ).encode(y="latest:Q"),
    ).properties(width=680, height=280)
    return


@app.cell
def _(mo):
    mo.md("""
    ## Funding

    A perpetual has no expiry that would pull its price to the index; funding does. Longs pay a
    positive rate to shorts. `interest_1h` is the cost of one hour and can be added up;
    `interest_8h` overlaps over eight hours.
    """)
    return


@app.cell
def _(first_day, instrument, last_day, mo, read):
    try:
        funding = read.funding(instrument, first_day, last_day)
    except read.IncompleteDays as error:
        mo.stop(True, mo.callout(str(error), kind="warn"))
    hours = (
        (100 * funding[["interest_1h"]])
        .assign(paid=lambda frame: frame["interest_1h"].cumsum())
        .reset_index()
    )
    return (hours,)


@app.cell
def _(alt, hours):
    _base = alt.Chart(hours, width=680).encode(x=alt.X("funded_at:T", title=None))
    alt.vconcat(
        _base.mark_bar()
        .encode(
            y=alt.Y("interest_1h:Q", title="percent an hour"),
            color=alt.condition("datum.interest_1h < 0", alt.value("firebrick"), alt.value("teal")),
        )
        .properties(height=140, title="Funding of each hour"),
        _base.mark_area(line=True, opacity=0.3)
        .encode(y=alt.Y("paid:Q", title="percent"))
        .properties(height=140, title="What a long position paid since the start"),
    )
    return


if __name__ == "__main__":
    app.run()
