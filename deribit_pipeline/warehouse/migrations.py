"""What brings the tables of an older file to those of this version."""

from deribit_pipeline.warehouse import account_tables, dataset_tables, market_tables

MIGRATIONS: dict[int, tuple[str, ...]] = {
    3: tuple(
        table.ddl()
        for table in (*market_tables.TABLES, *account_tables.TABLES, *dataset_tables.TABLES)
    ),
    2: (
        """
        create table candle_arrivals (
            instrument_name varchar not null, resolution varchar not null, day date not null,
            first_opened_at timestamptz not null, last_opened_at timestamptz not null,
            arrived_at timestamptz not null, run_id varchar not null
        )
        """,
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
    ),
}
"""Version to the statements that bring the tables of the version before to it. A new file is made
from the tables themselves, so an entry here, once released, never changes. Views, macros and
comments are made anew after each."""
