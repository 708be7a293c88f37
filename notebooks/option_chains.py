"""From a recorded option chain to a smile, a term structure and a delta-hedged option, as a marimo
notebook.

It needs recorded snapshots: `deribit-pipeline record`, then `backfill --dataset book_summaries`. To
open it: DERIBIT_ENV=sandbox .venv/bin/marimo edit notebooks/option_chains.py
"""

import marimo

app = marimo.App(app_title="Option chains")


@app.cell
def _():
    import altair as alt
    import duckdb
    import marimo as mo
    import numpy as np

    from deribit_pipeline import read
    from deribit_pipeline.settings import Settings

    warehouse = str(Settings.load().warehouse)
    return alt, duckdb, mo, np, read, warehouse


@app.cell
def _():
    # A moment such as "2026-11-29T12:00", or None for the newest stored snapshot.
    currency, moment, days_of_option = "BTC", None, 30
    return currency, days_of_option, moment


@app.cell
def _(currency, mo, moment, read):
    try:
        chain = read.option_chain(currency, moment)
        smile = read.option_smile(currency, moment).reset_index()
    except read.IncompleteDays as error:
        mo.stop(True, mo.callout(str(error), kind="warn"))
    return chain, smile


@app.cell
def _(chain, currency, mo):
    mo.md(f"""
    # What {currency} options cost

    {len(chain):,} options at {chain["snapshot_at"].iloc[0]:%Y-%m-%d %H:%M} UTC. Marks are the
    exchange's; volatilities of bids and asks are computed from the quotes, in the warehouse.
    """)
    return


@app.cell
def _(chain):
    # Out of the money, where options are traded.
    is_call = chain["option_type"] == "call"
    is_out = (chain["strike"] > chain["forward"]) == is_call
    quoted = chain[is_out & (chain["delta"].abs() > 0.02)].assign(
        days=lambda frame: (frame["expiry"] - frame["snapshot_at"]).dt.total_seconds() / 86_400,
        moneyness=lambda frame: 100 * (frame["strike"] / frame["forward"] - 1),
    )
    return (quoted,)


@app.cell
def _(alt, quoted):
    _title = alt.Title(
        "Smiles", subtitle="a line for each expiry: marks; bars: from bid to ask; dark: near expiry"
    )
    _base = alt.Chart(quoted.reset_index(), title=_title).encode(
        x=alt.X("moneyness:Q", title="strike above forward, percent"),
        color=alt.Color(
            "days:Q", scale=alt.Scale(type="log", scheme="viridis"), title="days to expiry"
        ),
        tooltip=["instrument_name", "mark_iv", "bid_iv", "ask_iv", "delta", "open_interest"],
    )
    alt.layer(
        _base.mark_rule(opacity=0.5).encode(
            y=alt.Y("bid_iv:Q", title="percent a year", scale=alt.Scale(zero=False)), y2="ask_iv"
        ),
        _base.mark_line(point=alt.OverlayMarkDef(size=12)).encode(y="mark_iv:Q", detail="expiry:N"),
    ).properties(width=640, height=320)
    return


@app.cell
def _(alt, smile):
    _base = alt.Chart(smile, width=640).encode(
        x=alt.X("days:Q", title="days to expiry", scale=alt.Scale(type="log"))
    )
    alt.vconcat(
        _base.mark_line(point=True)
        .encode(y=alt.Y("atm_iv:Q", title="percent a year", scale=alt.Scale(zero=False)))
        .properties(height=160, title="Term structure: volatility at the forward"),
        _base.mark_bar(size=8)
        .encode(y=alt.Y("risk_reversal_25:Q", title="percentage points"))
        .properties(height=120, title="Skew: 25-delta call minus put"),
    )
    return


@app.cell
def _(mo):
    mo.md("""
    ## A delta-hedged option

    A call at the forward, bought at the first snapshot of the day and hedged at each snapshot with
    its delta in the future: what remains is a bet on volatility. Its profit and loss is compared
    with what the greeks explain: half of gamma times the squared move, theta for the time that
    passed, vega for the change of implied volatility. Costs are left out: this is a sketch.
    """)
    return


@app.cell
def _(chain, days_of_option):
    _days = (chain["expiry"] - chain["snapshot_at"]).dt.total_seconds() / 86_400
    _calls = chain[chain["option_type"] == "call"].assign(
        from_days=(_days - days_of_option).abs(),
        from_forward=(chain["strike"] / chain["forward"] - 1).abs(),
    )
    option = _calls.sort_values(["from_days", "from_forward"]).index[0]
    return (option,)


@app.cell
def _(chain, currency, duckdb, option, warehouse):
    with duckdb.connect(warehouse, read_only=True) as _connection:
        _connection.execute("set TimeZone = 'UTC'")
        path = _connection.execute(
            """
            select epoch_ms(snapshot_at) as snapshot_ms, years, forward, mark_usd, mark_iv,
                   g.delta as delta, g.gamma as gamma, g.vega as vega, g.theta as theta
            from (
                select *, mark * to_usd as mark_usd,
                       black76(option_type, forward, strike, years, mark_iv / 100) as g
                from option_quotes($currency)
                where instrument_name = $option
                  and snapshot_at >= date_trunc('day', cast($last as timestamptz))
                  and snapshot_at <= cast($last as timestamptz)
            )
            order by snapshot_at
            """,
            {"currency": currency, "option": option, "last": str(chain["snapshot_at"].iloc[0])},
        ).df()
    return (path,)


@app.cell
def _(np, path):
    _before = path.shift()
    _move = path["forward"].diff()
    hedged = path.assign(
        earned=(path["mark_usd"].diff() - _before["delta"] * _move).fillna(0).cumsum(),
        explained=(
            _before["gamma"] * _move**2 / 2
            + _before["theta"] * 365 * (_before["years"] - path["years"])
            + _before["vega"] * path["mark_iv"].diff()
        )
        .fillna(0)
        .cumsum(),
        at=path["snapshot_ms"].to_numpy().astype("datetime64[ms]"),
    )
    unexplained = float(np.abs(hedged["earned"] - hedged["explained"]).max())
    return hedged, unexplained


@app.cell
def _(alt, hedged, option, unexplained):
    _title = alt.Title(
        f"{option}, hedged",
        subtitle=f"USD per coin; the greeks leave at most {unexplained:,.2f} unexplained",
    )
    alt.Chart(hedged, title=_title, width=640, height=220).transform_fold(
        ["earned", "explained"], as_=["line", "usd"]
    ).mark_line().encode(
        x=alt.X("at:T", title=None),
        y=alt.Y("usd:Q", title="USD"),
        color=alt.Color("line:N", title=None),
    )
    return


if __name__ == "__main__":
    app.run()
