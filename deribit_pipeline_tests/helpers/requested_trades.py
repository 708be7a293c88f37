"""Which trades the sandbox returned, of those that were requested."""

from collections.abc import Callable
from typing import Any

from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline_tests.helpers.recorded_trades import NAME

BY_NUMBER = "public/get_last_trades_by_instrument"


class RequestedTrades:
    """The numbers of the trades that were requested, and returned, since the last `clear`."""

    def __init__(self, sandbox: SandboxExchange) -> None:
        self.numbers: set[int] = set()
        for methods in (sandbox._methods, sandbox._history_methods):
            for name in (BY_NUMBER, BY_NUMBER + "_and_time"):
                methods[name] = self._noted(methods[name])

    def clear(self) -> None:
        self.numbers.clear()

    def _noted(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def noted(params: dict[str, str]) -> Any:
            result = method(params)
            if params["instrument_name"] == NAME:
                first, last = int(params.get("start_seq", 0)), int(params.get("end_seq", 2**53))
                returned = {trade["trade_seq"] for trade in result["trades"]}
                # The archive also returns some that were not requested, on either side.
                self.numbers |= {number for number in returned if first <= number <= last}
            return result

        return noted
