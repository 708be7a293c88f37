"""All errors that this package raises deliberately, as one tree.

* DeribitPipelineError
  x InputError              an argument or a setting is wrong; nothing was attempted (exit 2)
    + SettingsError         an environment variable is wrong
      - MovedInstruments    Dagster's storage has their days under another group
    + UnknownSpecification  the warehouse has no specification of an instrument
    + WouldLose             the target holds more than what would replace it
  x DeribitError            a request to the exchange failed
    + DeribitUnavailable    may succeed if retried: network, HTTP 5xx or 429, a transient RPC code
      - DeribitRateLimited  the same, and every process must slow down
      - RateLimiterUnavailable  the rate limiter's state is unreachable, so nothing was sent
      - DeribitUnreachable  no connection could be made: the network or the address
    + DeribitRejected       fails again if retried: bad parameters, no permission
      - UnknownInstrument   the exchange does not list the instrument (exit 2)
      - WrongCredentials    the exchange does not accept the API key (exit 2)
      - NotSubscribed       the exchange leaves a channel out that was to be subscribed
    + DeribitBadPayload     a response that breaks an expectation
      - EndlessPages        more pages than the data can fill
      - WrongEnvironment    a response from another environment than the configured one (exit 2)
    + IncompleteTrades      candles cannot be rebuilt, because a day's trades are incomplete
    + NotRecorded           the exchange has no history of it, and it was not recorded in time
  x NoLongerAvailable       the exchange no longer has the requested days; nothing was written
  x RecordingError          Dagster's storage refused; the warehouse has the days nevertheless
  x IncompleteDays          days requested from the reader are not proved complete
  x SpoolError              a file of the spool cannot be read or written
  x NoTemporaryFile         rows that are too many for memory cannot be put into a temporary file
  x WarehouseError          the database refused
    + LakeAway              the lake's catalog or object store is unreachable at the moment
    + Conflict              another process wrote to the lake at the same time
    + WarehouseUnusable     it cannot be used as this warehouse at all (exit 2)
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import TypeVar

from deribit_pipeline.outside_text import shown

Failure = TypeVar("Failure", bound=BaseException)

_MOST_SAID, _MOST_OF_A_PARAMETER = 1_000, 100


class DeribitPipelineError(Exception):
    """Base class: the message is one sentence for the user."""


class InputError(DeribitPipelineError):
    """An argument is wrong; nothing was attempted.

    `about` names the wrong parameter, if the message begins with its value: the command line
    replaces it by the name that the user sees, such as an option.
    """

    def __init__(self, message: str, *, about: str = "") -> None:
        super().__init__(message)
        self.about = about


class UnknownSpecification(InputError):
    """The warehouse has no specification of an instrument: its list was never requested."""

    def __init__(self, instrument_name: str) -> None:
        super().__init__(
            f"No specification of {shown(instrument_name)} is stored: request the list of "
            "instruments first."
        )
        self.instrument_name = instrument_name


class WouldLose(InputError):
    """The target holds more than what would replace it."""


class SettingsError(InputError):
    """An environment variable is wrong; nothing was attempted."""


class MovedInstruments(SettingsError):
    """DERIBIT_GROUPS puts instruments into other assets than those that have their days."""


class DeribitError(DeribitPipelineError):
    """A request to the exchange failed.

    `method` and `params` state what was attempted, `reason` what was wrong; `summary` omits the
    parameters. None of them contains a credential: `public/auth` omits its own. Text quoted from a
    response is on one line and shortened.
    """

    def __init__(self, message: str, *, method: str, params: Mapping[str, object]) -> None:
        message = shown(message, _MOST_SAID)
        requested = ", ".join(
            f"{name}={shown(value, _MOST_OF_A_PARAMETER)}" for name, value in params.items()
        )
        super().__init__(f"{method}({requested}): {message}")
        self.reason = message
        self.summary = f"{method}: {message}"
        self.method = method
        self.params = dict(params)


class DeribitUnavailable(DeribitError):
    """A transient failure: the same request may succeed later."""


class DeribitRateLimited(DeribitUnavailable):
    """The rate limit is exceeded: all processes that share it must slow down."""


class RateLimiterUnavailable(DeribitUnavailable):
    """The shared rate limiter's state is unreachable, so nothing was sent."""


class DeribitUnreachable(DeribitUnavailable):
    """No connection to the exchange could be made, so nothing was sent."""


class DeribitRejected(DeribitError):
    """The exchange rejected the request permanently; `code` is its JSON-RPC error code, if any."""

    def __init__(
        self, message: str, *, method: str, params: Mapping[str, object], code: int | None = None
    ) -> None:
        super().__init__(message, method=method, params=params)
        self.code = code


class UnknownInstrument(DeribitRejected):
    """The exchange does not list the instrument; `near` are listed ones with a similar name."""

    near: Sequence[str] = ()

    def __str__(self) -> str:
        name = shown(self.params.get("instrument_name"), _MOST_OF_A_PARAMETER)
        near = " or ".join(shown(each, _MOST_OF_A_PARAMETER) for each in self.near)
        return (
            f"The exchange lists no instrument {name}: its names are written like BTC-PERPETUAL "
            f"({self.reason}).{f' Did you mean {near}?' if near else ''}"
        )


class WrongCredentials(DeribitRejected):
    """The exchange does not accept the API key."""


class NotSubscribed(DeribitRejected):
    """The exchange does not subscribe some channels, which it says by leaving them out of its
    acknowledgement: `channels` are those."""

    def __init__(self, channels: Sequence[str], *, method: str, of: int) -> None:
        super().__init__(
            f"the exchange left {', '.join(channels)} out of the channels that it acknowledges: "
            "their names are wrong, or it has no such channels any more",
            method=method,
            params={"channels": f"{of} of them"},
        )
        self.channels = tuple(channels)


class DeribitBadPayload(DeribitError):
    """The response is not what this package expects or can verify."""


class EndlessPages(DeribitBadPayload):
    """More pages follow one another than the data can fill: repeating the request does not help."""


class WrongEnvironment(DeribitBadPayload):
    """The response comes from another environment than the configured one."""


class IncompleteTrades(DeribitError):
    """Candles cannot be rebuilt, because the day's trades are not proved complete."""


class NotRecorded(DeribitError):
    """The exchange publishes no history of this, and it was not recorded."""


class NoLongerAvailable(DeribitPipelineError):
    """The exchange no longer has the requested days: `first` is the first day that it has."""

    def __init__(self, message: str, *, first: date) -> None:
        super().__init__(message)
        self.first = first


class RecordingError(DeribitPipelineError):
    """Dagster could not record what was done: its disk is full or read-only, or its database is
    unreachable."""


class IncompleteDays(DeribitPipelineError):
    """Days requested from the reader are not proved complete: `days` maps each of them to its
    state, such as `open` or `never requested`. `dataset` is the name in `dataset_days`, for candles
    that of their asset."""

    def __init__(
        self, message: str, *, dataset: str, series: str, days: Mapping[date, str]
    ) -> None:
        super().__init__(message)
        self.dataset = dataset
        self.series = series
        self.days = dict(days)

    def advising(self, advice: str) -> "IncompleteDays":
        """The same error, whose message ends with what to do."""
        return self.with_message(f"{str(self).removesuffix('.')}: {advice}.")

    def with_message(self, message: str) -> "IncompleteDays":
        """The same error with another message."""
        return IncompleteDays(message, dataset=self.dataset, series=self.series, days=self.days)


class SpoolError(DeribitPipelineError):
    """A file of the spool cannot be read or written."""


class NoTemporaryFile(DeribitPipelineError):
    """The folder for temporary files is full, or not writable."""


class WarehouseError(DeribitPipelineError):
    """The database refused."""


class LakeAway(WarehouseError):
    """The catalog or the object store of a lake is unreachable at the moment."""


class Conflict(WarehouseError):
    """A concurrent write to a lake conflicted: a retry may succeed."""


class WarehouseUnusable(WarehouseError):
    """It cannot be used as this warehouse: it belongs to another program, environment or
    version."""


def first_line(error: BaseException) -> str:
    """The first line of a library's error, without the details and traces that may follow."""
    return str(error).partition("\n")[0]


def first_of(group: BaseExceptionGroup[Failure]) -> Failure:
    """The first error of a group, which may have groups in it."""
    first = group.exceptions[0]
    return first_of(first) if isinstance(first, BaseExceptionGroup) else first
