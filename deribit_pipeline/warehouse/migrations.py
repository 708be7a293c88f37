"""Migrations: the statements that bring the tables of an older warehouse to this version.

Versions 1 (release 0.1.0) and 4 are migrated; 2 and 3 were never released.
"""

HASHED_SINCE = 5
"""The version since which proofs and series have hashes. Those of older files are computed once the
tables have this version."""

READABLE = (1, 4, 5, 6)
"""The older versions that are migrated to this one."""

MIGRATIONS: dict[int, tuple[str, ...]] = {
    4: (
        """
        insert into candle_arrivals
        with held as (
            select instrument_name, resolution, opened_at,
                   cast(timezone('UTC', opened_at) as date) as day,
                   if(resolution = '1D', 1440, try_cast(resolution as integer)) as minutes
            from candles
        ), numbered as (
            select *, epoch_ms(opened_at) // 60000 // minutes - row_number() over (
                partition by instrument_name, resolution, day order by opened_at
            ) as stretch
            from held
        ), stretches as (
            select instrument_name, resolution, day, stretch,
                   min(opened_at) as first_opened_at, max(opened_at) as last_opened_at
            from numbered group by all
        )
        select instrument_name, resolution, day, first_opened_at, last_opened_at,
               fetched_at, run_id
        from stretches join candle_days using (instrument_name, resolution, day)
        """,
        """
        create table candles_rebuilt (
            instrument_name varchar not null, opened_at timestamptz not null,
            open double not null, high double not null, low double not null,
            close double not null, volume_base double not null, volume_quote double not null,
            trades integer not null
        )
        """,
    ),
    5: (
        """
        create table candle_days_of_5 (
            instrument_name varchar not null, resolution varchar not null, day date not null,
            state varchar not null, expected integer not null, received integer not null,
            missing integer not null, without_trades integer not null,
            content_hash varchar not null, revised integer not null,
            fetched_at timestamptz not null, environment varchar not null,
            source varchar not null, run_id varchar not null, verdict varchar not null,
            cross_check varchar not null, proof_hash varchar not null
        )
        """,
        """
        insert into candle_days_of_5
        select instrument_name, resolution, day, state, expected, received, missing,
               without_trades, content_hash, revised, fetched_at, environment, source, run_id,
               '', 'none', ''
        from candle_days
        """,
        "drop table candle_days",
        "alter table candle_days_of_5 rename to candle_days",
        """
        create table dataset_days_of_5 (
            dataset varchar not null, series varchar not null, day date not null,
            state varchar not null, expected bigint not null, received bigint not null,
            missing bigint not null, content_hash varchar not null, revised bigint not null,
            verdict varchar not null, fetched_at timestamptz not null,
            environment varchar not null, source varchar not null, run_id varchar not null,
            cross_check varchar not null, proof_hash varchar not null
        )
        """,
        """
        insert into dataset_days_of_5
        select dataset, series, day, state, expected, received, missing, content_hash, revised,
               verdict, fetched_at, environment, source, run_id, 'none', ''
        from dataset_days
        """,
        "drop table dataset_days",
        "alter table dataset_days_of_5 rename to dataset_days",
        """
        create table series_proofs (
            dataset varchar not null, series varchar not null, days bigint not null,
            proofs_hash varchar not null
        )
        """,
        """
        create table failed_days (
            dataset varchar not null, series varchar not null, day date not null,
            reason varchar not null, failed_at timestamptz not null, run_id varchar not null
        )
        """,
        "alter table candles_rebuilt alter column volume_base drop not null",
        "alter table candles_rebuilt alter column volume_quote drop not null",
    ),
    6: (),  # the table of book summaries is created, and nothing else is changed
    7: (),  # the table of recorder sessions likewise
}
"""Version to the statements that migrate the tables of the version before to it, after the tables
added since version 1 are created. A new file is created from the table definitions, so an entry
here never changes once released. Views, macros and comments are recreated after each."""

MADE_BY_MIGRATIONS = ("candles_rebuilt", "failed_days", "series_proofs")
"""Tables that a migration creates, and would not create twice: a warehouse with a wrong, older
version number is refused."""
