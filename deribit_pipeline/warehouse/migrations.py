"""What brings the tables of an older file to those of this version."""

HASHED_SINCE = 5
"""The version since which proofs and series have hashes. Those of older files are made once the
tables are of this one."""

MIGRATIONS: dict[int, tuple[str, ...]] = {
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
    ),
    4: (
        # Version 3 called the day `delivered_on`, and for a while `delivery_date`: so by position.
        """
        create table delivery_prices_of_4 (
            index_name varchar not null, delivery_date date not null,
            delivery_price double not null
        )
        """,
        "insert into delivery_prices_of_4 select * from delivery_prices",
        "drop table delivery_prices",
        "alter table delivery_prices_of_4 rename to delivery_prices",
    ),
    3: (
        """
        create table instruments (
            instrument_name varchar not null, instrument_id bigint, kind varchar not null,
            instrument_type varchar, base_currency varchar not null,
            quote_currency varchar not null, counter_currency varchar,
            settlement_currency varchar, settlement_period varchar,
            listed_at timestamptz not null, expires_at timestamptz, strike double,
            option_type varchar, price_index varchar, contract_size double not null,
            tick_size double not null, tick_size_steps json not null,
            min_trade_amount double not null, maker_commission double, taker_commission double,
            max_leverage double, valid_from timestamptz not null, valid_to timestamptz,
            first_seen_at timestamptz not null, last_seen_at timestamptz not null,
            run_id varchar not null
        )
        """,
        """
        create table instrument_lists (
            currency varchar not null, asked_at timestamptz not null
        )
        """,
        """
        create table funding_rates (
            instrument_name varchar not null, funded_at timestamptz not null,
            interest_1h double not null, interest_8h double not null, index_price double not null,
            prev_index_price double not null
        )
        """,
        """
        create table volatility_index (
            currency varchar not null, resolution varchar not null,
            opened_at timestamptz not null, open double not null, high double not null,
            low double not null, close double not null
        )
        """,
        """
        create table trades (
            instrument_name varchar not null, trade_seq bigint not null,
            trade_id varchar not null, traded_at timestamptz not null, direction varchar not null,
            tick_direction utinyint not null, price double not null, mark_price double,
            index_price double, amount double not null, contracts double, iv double,
            liquidation varchar, block_trade_id varchar, combo_id varchar
        )
        """,
        """
        create table candles_rebuilt (
            instrument_name varchar not null, opened_at timestamptz not null,
            open double not null, high double not null, low double not null,
            close double not null, volume_base double not null, volume_quote double not null,
            trades integer not null
        )
        """,
        """
        create table settlements (
            currency varchar not null, settled_at timestamptz not null,
            instrument_name varchar not null, type varchar not null, position double,
            mark_price double, index_price double, funding double, profit_loss double,
            session_profit_loss double, funded double, session_bankruptcy double,
            session_tax double, session_tax_rate double, socialized double
        )
        """,
        """
        create table delivery_prices (
            index_name varchar not null, delivery_date date not null,
            delivery_price double not null
        )
        """,
        """
        create table historical_volatility (
            currency varchar not null, measured_at timestamptz not null,
            volatility double not null
        )
        """,
        """
        create table index_prices (
            index_name varchar not null, priced_at timestamptz not null, price double not null
        )
        """,
        """
        create table transaction_log (
            currency varchar not null, id bigint not null, logged_at timestamptz not null,
            user_seq bigint not null, type varchar not null, instrument_name varchar,
            side varchar, amount double, price double, index_price double, position double,
            commission double, cashflow double, change double, balance double, equity double,
            interest_pl double, trade_id varchar, order_id varchar, told json not null
        )
        """,
        """
        create table user_trades (
            currency varchar not null, trade_id varchar not null, order_id varchar not null,
            traded_at timestamptz not null, instrument_name varchar not null,
            trade_seq bigint not null, direction varchar not null, price double not null,
            amount double not null, fee double, fee_currency varchar, liquidity varchar,
            profit_loss double, index_price double, mark_price double, iv double,
            told json not null
        )
        """,
        """
        create table settlement_history (
            currency varchar not null, settled_at timestamptz not null,
            instrument_name varchar not null, type varchar not null, position double,
            mark_price double, index_price double, funding double, profit_loss double,
            session_profit_loss double, told json not null
        )
        """,
        """
        create table dataset_days (
            dataset varchar not null, series varchar not null, day date not null,
            state varchar not null, expected bigint not null, received bigint not null,
            missing bigint not null, content_hash varchar not null, revised bigint not null,
            verdict varchar not null, fetched_at timestamptz not null,
            environment varchar not null, source varchar not null, run_id varchar not null
        )
        """,
        """
        create table dataset_gaps (
            dataset varchar not null, series varchar not null, day date not null,
            gap varchar not null, missing bigint not null, confirmed integer not null,
            confirmed_at timestamptz not null
        )
        """,
        """
        create table dataset_revisions (
            dataset varchar not null, series varchar not null, day date not null,
            row_key varchar not null, held json not null, held_from timestamptz not null,
            replaced_at timestamptz not null, run_id varchar not null
        )
        """,
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
