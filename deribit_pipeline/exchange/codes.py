"""Deribit's JSON-RPC error codes, grouped by whether the same request may succeed later.

Source: https://docs.deribit.com/articles/errors. A code that is not listed here is final: the
request is not retried.
"""

RATE_LIMITED = frozenset(
    {
        10028,  # too_many_requests: assumption:error-rate-limit
        10066,  # too_many_concurrent_requests
    }
)

PASSING = frozenset(
    {
        10040,  # retry
        10041,  # settlement_in_progress: some seconds, daily about 08:00 UTC
        10047,  # matching_engine_queue_full
        11051,  # system_maintenance
        11056,  # currently unavailable; the documentation says to try again
        11094,  # internal_server_error
        13028,  # temporarily_unavailable
        13888,  # timed_out
    }
)

INVALID_CREDENTIALS = 13004
UNAUTHORIZED = 13009  # the token is invalid or has expired: it is renewed once
INVALID_PARAMS = -32602  # `data` names `param` and `reason`
NOT_FOUND = 13020  # both codes mean an unknown instrument: assumption:error-instrument
ROUTED_SPOT = 11060  # assumption:candles-spot

OF_THE_CALLER = frozenset({10000, 13004, 13009, 13019, 13021})  # the caller, not the request

REMEDIES = {
    10000: "credentials are needed: set DERIBIT_CLIENT_ID and DERIBIT_CLIENT_SECRET",
    ROUTED_SPOT: "this spot pair is routed to another venue, and Deribit serves no history of it",
    13004: "check DERIBIT_CLIENT_ID and DERIBIT_CLIENT_SECRET, and that the key is for DERIBIT_ENV",
    13009: "check that the API key is enabled and has the scopes account:read and trade:read",
    13021: "give the API key the scopes account:read and trade:read, and no other",
}
