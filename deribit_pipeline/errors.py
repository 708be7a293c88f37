"""Everything this project raises on purpose, as one tree.

* DeribitPipelineError
  x InputError              what was asked or set is wrong; nothing was attempted (exit 2)
    + SettingsError         a variable of the environment is wrong
    + WouldLose             what is there holds more than what would replace it
  x DeribitError            talking to the exchange failed
    + DeribitUnavailable    worth another try: network, HTTP 5xx or 429, a passing RPC code
      - DeribitRateLimited  the same, and every process must slow down
      - CreditsUnavailable  the rate limit is out of reach, so nothing was sent
    + DeribitRejected       not worth another try: bad parameters, no permission
      - UnknownInstrument   the exchange does not list the instrument (exit 2)
      - WrongCredentials    the exchange does not take the API key (exit 2)
    + DeribitBadPayload     an answer that breaks an expectation
      - EndlessPages        pages that go on beyond every bound
      - WrongEnvironment    an answer of another environment than the one configured (exit 2)
    + IncompleteTrades      candles were to be made of trades that are not all there
  x RecordingError          Dagster's databases refused; the warehouse has its days all the same
  x IncompleteDays          days that were to be read are not proved complete
  x WarehouseError          the database refused
    + LakeAway              what the lake is in is out of reach at this moment
    + Conflict              others wrote to the lake meanwhile
    + WarehouseUnusable     it cannot serve as this warehouse at all (exit 2)
"""

from collections.abc import Mapping
from datetime import date

from deribit_pipeline.outside_text import shown

_MOST_SAID, _MOST_OF_A_PARAMETER = 1_000, 100


class DeribitPipelineError(Exception):
    """The root: its message is one sentence for the user."""


class InputError(DeribitPipelineError):
    """What was asked is wrong; nothing was attempted.

    `about` is the parameter that is wrong, where the message begins with its value: what a user
    calls that parameter, such as an option, the command line knows.
    """

    def __init__(self, message: str, *, about: str = "") -> None:
        super().__init__(message)
        self.about = about


class WouldLose(InputError):
    """What is there holds more than what would replace it."""


class SettingsError(InputError):
    """A variable of the environment is wrong; nothing was attempted."""


class DeribitError(DeribitPipelineError):
    """Talking to the exchange failed.

    `method` and `params` say what was attempted, `reason` what was wrong; `summary` leaves the
    parameters out. These never hold a credential: `public/auth` leaves its own out. Whatever is
    repeated of a response is on one line, and cut where it is long.
    """

    def __init__(self, message: str, *, method: str, params: Mapping[str, object]) -> None:
        message = shown(message, _MOST_SAID)
        asked = ", ".join(
            f"{name}={shown(value, _MOST_OF_A_PARAMETER)}" for name, value in params.items()
        )
        super().__init__(f"{method}({asked}): {message}")
        self.reason = message
        self.summary = f"{method}: {message}"
        self.method = method
        self.params = dict(params)


class DeribitUnavailable(DeribitError):
    """The same request may succeed in a moment."""


class DeribitRateLimited(DeribitUnavailable):
    """The exchange refused for want of credits: whoever shares them must slow down."""


class CreditsUnavailable(DeribitUnavailable):
    """Where machines share the rate limit is out of reach, so nothing was sent."""


class DeribitRejected(DeribitError):
    """The exchange refused for good; `code` is its JSON-RPC error code, where it gave one."""

    def __init__(
        self, message: str, *, method: str, params: Mapping[str, object], code: int | None = None
    ) -> None:
        super().__init__(message, method=method, params=params)
        self.code = code


class UnknownInstrument(DeribitRejected):
    """The exchange does not list the instrument."""

    def __str__(self) -> str:
        name = shown(self.params.get("instrument_name"), _MOST_OF_A_PARAMETER)
        return (
            f"The exchange lists no instrument {name}: its names are written like BTC-PERPETUAL "
            f"({self.reason})."
        )


class WrongCredentials(DeribitRejected):
    """The exchange does not take the API key."""


class DeribitBadPayload(DeribitError):
    """The exchange answered, but not with what this project understands or can prove."""


class EndlessPages(DeribitBadPayload):
    """Pages follow one another beyond what they can hold: requesting them again leads nowhere."""


class WrongEnvironment(DeribitBadPayload):
    """The answer comes from another environment than the one configured."""


class IncompleteTrades(DeribitError):
    """Candles were to be made of a day's trades, and these are not proved complete."""


class RecordingError(DeribitPipelineError):
    """Dagster could not record what was done: its disk is full or must not be written, or its
    database is out of reach."""


class IncompleteDays(DeribitPipelineError):
    """Days of a series were to be read that are not proved complete: `days` says of each what is
    known of it, such as `open` or `never requested`. `dataset` is named as in `dataset_days`, and
    candles as their asset is."""

    def __init__(
        self, message: str, *, dataset: str, series: str, days: Mapping[date, str]
    ) -> None:
        super().__init__(message)
        self.dataset = dataset
        self.series = series
        self.days = dict(days)


class WarehouseError(DeribitPipelineError):
    """The database refused."""


class LakeAway(WarehouseError):
    """The PostgreSQL or the object store of a lake cannot be reached at this moment."""


class Conflict(WarehouseError):
    """Others were in the way on a lake: alone, the same may succeed."""


class WarehouseUnusable(WarehouseError):
    """It cannot serve as this warehouse: another program's, environment's or version's."""


def first_line(error: BaseException) -> str:
    """What a library says, without the pointers and traces that may follow."""
    return str(error).partition("\n")[0]
