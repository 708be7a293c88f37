"""The sandbox exchange, keeping each response with trades once it is computed: asked for the same
trades again, it takes hardly any processor time from the command that is measured, as an exchange
on another machine would.

Takes the options of `deribit-pipeline sandbox`.
"""

import sys
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from deribit_pipeline.cli.main import main
from deribit_pipeline.sandbox import trade_methods

Method = Callable[[Mapping[str, str]], Any]


def kept(method: Method) -> Method:
    """The method, which serializes each of its results once."""
    results: dict[tuple[tuple[str, str], ...], orjson.Fragment] = {}

    def result(params: Mapping[str, str]) -> orjson.Fragment:
        key = tuple(sorted(params.items()))
        if key not in results:
            content = orjson.dumps(method(params), option=orjson.OPT_SERIALIZE_NUMPY)
            results[key] = orjson.Fragment(content)
        return results[key]

    return result


if __name__ == "__main__":
    methods_of = trade_methods.Trades.methods
    trade_methods.Trades.methods = lambda self, host: {
        name: kept(method) for name, method in methods_of(self, host).items()
    }
    sys.argv.insert(1, "sandbox")
    sys.exit(main())
