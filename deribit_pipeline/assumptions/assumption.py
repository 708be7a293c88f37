"""An assumption, the responses that test it, and the verdict. Pure: sends no request."""

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

import numpy as np

Parsed = TypeVar("Parsed")


class Known(enum.StrEnum):
    """The evidence for an assumption."""

    DOCUMENTED = "documented by Deribit"
    RECORDED = "read off recorded responses"
    SEEN = "measured by others, who published it"
    GUESS = "our inference"
    OPEN = "unknown, or sources disagree"


class Verdict(enum.StrEnum):
    """The result of testing an assumption against responses."""

    HOLDS = "holds"
    DIFFERS = "differs"
    NOT_TESTED = "could not be tested"


class NotTested(Exception):
    """The responses neither confirm nor contradict an assumption; the message says why."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The assumed and the observed value."""

    assumed: str
    found: str
    holds: bool


def compared(assumed: object, found: object, *, holds: bool | None = None) -> Comparison:
    """Both values; `holds` defaults to whether they are equal."""
    return Comparison(str(assumed), str(found), assumed == found if holds is None else holds)


@dataclass(frozen=True, slots=True)
class Response:
    """The outcome of one request.

    `result` is the JSON value of a successful response and `as_of` the exchange's time. Otherwise
    one of these is set: `code`, the error code of a refusal, which `message` explains; `malformed`,
    how the response broke the protocol; `failure`, why there is no response.
    """

    host: str
    method: str
    params: Mapping[str, object] = field(default_factory=dict)
    as_of: datetime | None = None
    result: object = None
    code: int | None = None
    message: str = ""
    malformed: str = ""
    failure: str = ""
    is_unreachable: bool = False


class Responses:
    """The responses by request name; `absent` maps requests that were not made to the reason."""

    def __init__(
        self, by_name: Mapping[str, Response], absent: Mapping[str, str] | None = None
    ) -> None:
        self.by_name = dict(by_name)
        self.absent = dict(absent or {})

    def of(self, name: str) -> Response:
        """A response, including refusals. Raises NotTested if there is none and ValueError if it
        broke the protocol."""
        response = self.by_name.get(name)
        if response is None:
            raise NotTested(self.absent.get(name, f"{name} was not requested"))
        if response.failure:
            raise NotTested(response.failure)
        if response.malformed:
            raise ValueError(response.malformed)
        return response

    def success(self, name: str) -> Response:
        """A response with a result. Raises NotTested also if the exchange refused the request."""
        response = self.of(name)
        if response.code is not None or response.message:
            raise NotTested(f"the exchange refused {response.method}: {response.message}")
        return response

    def read(self, name: str, parser: Callable[[object], Parsed]) -> Parsed:
        """The parsed result. Raises ValueError for a malformed one."""
        return parser(self.success(name).result)

    def as_of(self, name: str) -> datetime:
        """The exchange's time when it received a request that succeeded."""
        as_of = self.success(name).as_of
        if as_of is None:
            raise NotTested(f"the response to {name} has no time")
        return as_of

    def requested(self, name: str, param: str) -> int:
        """An integer parameter of a request."""
        value = self.success(name).params[param]
        assert isinstance(value, int)
        return value


Judge = Callable[[Responses], Comparison]
"""Compares an assumption with the responses. Raises NotTested, and ValueError for a malformed
response."""


@dataclass(frozen=True, slots=True)
class Assumption:
    """One assumption of the code about the exchange.

    `source` is where the fact comes from; `follows` is the consequence for users and for the code
    if it does not hold. `judge` tests it; without one, `untested` says why it cannot be tested.
    `is_of_mainnet` marks facts that may differ in other environments.
    """

    id: str
    statement: str
    known: Known
    source: str
    follows: str
    judge: Judge | None = None
    untested: str = ""
    is_of_mainnet: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """The verdict on an assumption, with both values, or with the reason why it was not tested."""

    assumption: Assumption
    verdict: Verdict
    assumed: str = ""
    found: str = ""
    reason: str = ""


def judged(assumption: Assumption, responses: Responses, *, is_testnet: bool = False) -> Finding:
    """The verdict of the responses on one assumption. Malformed responses become a verdict, not an
    exception."""
    if assumption.judge is None:
        return Finding(assumption, Verdict.NOT_TESTED, reason=assumption.untested)
    if assumption.is_of_mainnet and is_testnet:
        reason = "it is a fact of mainnet, and this is testnet"
        return Finding(assumption, Verdict.NOT_TESTED, reason=reason)
    try:
        with np.errstate(all="ignore"):  # extreme values in a response must not warn
            comparison = assumption.judge(responses)
    except NotTested as error:
        return Finding(assumption, Verdict.NOT_TESTED, reason=str(error))
    except ValueError as error:
        found = f"a malformed response: {error}"
        return Finding(assumption, Verdict.DIFFERS, "a response that can be read", found)
    verdict = Verdict.HOLDS if comparison.holds else Verdict.DIFFERS
    return Finding(assumption, verdict, comparison.assumed, comparison.found)
