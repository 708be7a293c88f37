"""The settings: the only place that interprets the environment and `.env`.

Only DAGSTER_HOME is read elsewhere too, by Dagster and by the log file that it configures.
pydantic-settings was tried and made it neither shorter nor stricter: docs/decisions/0021.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path

from deribit_pipeline import addresses, instrument_groups
from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.domain.location import Lake, Location, location_of
from deribit_pipeline.domain.specification import CURRENCIES
from deribit_pipeline.errors import InputError, SettingsError
from deribit_pipeline.instrument_groups import InstrumentGroup, first_day
from deribit_pipeline.masking import learn, passwords_of
from deribit_pipeline.selection import Choice, Selector, choice
from deribit_pipeline.variables import Noted, require_known, variables

EXCHANGE_URLS = {
    Environment.MAINNET: "https://www.deribit.com/api/v2",
    Environment.TESTNET: "https://test.deribit.com/api/v2",
}
"""API roots as Deribit documents them. The sandbox has none: it is started when needed."""

HISTORY_URLS = {Environment.MAINNET: "https://history.deribit.com/api/v2"}
"""API roots of the archive of trades: undocumented, without accounts, of mainnet only."""

FIRST_DAY = date(2018, 8, 1)
"""The first day of Dagster's partitions. BTC-PERPETUAL, the oldest instrument that the exchange
still lists, began on 2018-08-14."""

_ROOT = "an API root such as http://127.0.0.1:8787/api/v2"
_WEBSOCKET = "the address of a WebSocket such as ws://127.0.0.1:8787/ws/api/v2"

_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:]+\]")


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings. The defaults are those of `.env.example`; a test compares them.

    `instruments` are those that are named, of all groups; the instruments that `selectors` add are
    found in the warehouse: see `engine.universe`. `groups` are those of them with assets of their
    own: see `engine.group_members`. `partitions_since` is the first day of Dagster's partitions,
    `ui_hosts` are the host names at which Dagster's UI is reached, in lower case.
    `requests_per_second` and `burst` are the exchange's rate limit (assumption:limits-calls).
    `spool` is where the recorder writes, `spool_keep` how many days proved recordings are kept;
    `snapshot_every` is the distance of snapshots, which divides a day, of `record_currencies`.
    """

    environment: Environment = Environment.MAINNET
    base_url: str | None = None
    client_id: str | None = field(default=None, repr=False)
    client_secret: str | None = field(default=None, repr=False)
    warehouse: Location = Path("data/mainnet.duckdb")
    instruments: tuple[str, ...] = ("BTC-PERPETUAL", "ETH-PERPETUAL")
    requests_per_second: float = 20.0
    burst: int = 100
    concurrency: int = 16
    dagster_home: Path = Path("dagster_home")
    schedules: bool = False
    history_url: str | None = None
    websocket_url: str | None = None
    selectors: tuple[Selector, ...] = ()
    groups: tuple[InstrumentGroup, ...] = ()
    partitions_since: date = FIRST_DAY
    ui_hosts: tuple[str, ...] = ()
    spool: Path = Path("data/mainnet-spool")
    spool_keep: int = 0
    snapshot_every: timedelta = timedelta(minutes=5)
    record_currencies: tuple[str, ...] = ("BTC", "ETH", "USDC")

    def __post_init__(self) -> None:
        urls = {"DERIBIT_BASE_URL": self.base_url, "DERIBIT_WEBSOCKET_URL": self.websocket_url}
        for name, url in urls.items():
            is_open = url and url.startswith(("http:", "ws:")) and not addresses.is_loopback(url)
            if url and is_open and (self.client_id or self.client_secret):
                scheme = url.partition(":")[0]
                raise SettingsError(
                    f"{name} is {url}, over which an API key travels unencrypted: use "
                    f"{scheme}s://, or leave out DERIBIT_CLIENT_ID and DERIBIT_CLIENT_SECRET."
                )

    @classmethod
    def from_env(cls, env: Mapping[str, str | None]) -> "Settings":
        """Read the variables of `env`; an empty one counts as absent. Paths are relative to
        DERIBIT_HOME. Raises SettingsError, also for a variable that is named like a setting but is
        not one."""
        env, default = Noted(env), cls()
        environment = _environment(env.get("DERIBIT_ENV"))
        folder = Path(env.get("DERIBIT_HOME") or "")
        client_id, client_secret = env.get("DERIBIT_CLIENT_ID"), env.get("DERIBIT_CLIENT_SECRET")
        if bool(client_id) != bool(client_secret):
            raise SettingsError(
                "DERIBIT_CLIENT_ID and DERIBIT_CLIENT_SECRET belong together: set both or neither."
            )
        if not re.fullmatch("[!-~]*", f"{client_id or ''}{client_secret or ''}"):
            raise SettingsError(
                "DERIBIT_CLIENT_ID and DERIBIT_CLIENT_SECRET must be letters, digits and signs of "
                "ASCII, without spaces: copy them again."
            )
        named = env.get("DERIBIT_INSTRUMENTS")
        plain = choice(named, "DERIBIT_INSTRUMENTS") if named else Choice(default.instruments)
        groups = instrument_groups.groups(env.get(instrument_groups.VARIABLE) or "", plain)
        chosen = instrument_groups.all_of([plain, *(group.choice for group in groups)])
        since = env.get(since_name := "DERIBIT_PARTITIONS_SINCE")
        settings = cls(
            environment=environment,
            base_url=_url(env, "DERIBIT_BASE_URL", addresses.is_http, _ROOT),
            history_url=_url(env, "DERIBIT_HISTORY_URL", addresses.is_http, _ROOT),
            websocket_url=_url(env, "DERIBIT_WEBSOCKET_URL", addresses.is_websocket, _WEBSOCKET),
            client_id=client_id or None,
            client_secret=client_secret or None,
            warehouse=location_of(
                env.get("DERIBIT_WAREHOUSE") or f"data/{environment}.duckdb",
                env.get("DERIBIT_WAREHOUSE_DATA"),
                env,
                folder,
            ),
            instruments=chosen.names,
            selectors=chosen.selectors,
            groups=groups,
            requests_per_second=_positive(
                env, "DERIBIT_REQUESTS_PER_SECOND", default.requests_per_second
            ),
            burst=_whole(env, "DERIBIT_BURST", default.burst),
            concurrency=_whole(env, "DERIBIT_CONCURRENCY", default.concurrency, most=32),
            dagster_home=folder / (env.get("DAGSTER_HOME") or default.dagster_home),
            schedules=_is_on(env, "DERIBIT_SCHEDULES"),
            partitions_since=first_day(since, since_name) if since else default.partitions_since,
            ui_hosts=_hosts(env, "DERIBIT_UI_HOSTS"),
            spool=folder / (env.get("DERIBIT_SPOOL") or f"data/{environment}-spool"),
            spool_keep=_whole(env, "DERIBIT_SPOOL_KEEP", default.spool_keep, least=0, most=36_500),
            snapshot_every=_every(env, "DERIBIT_SNAPSHOT_EVERY", default.snapshot_every),
            record_currencies=_currencies(
                env, "DERIBIT_RECORD_CURRENCIES", default.record_currencies
            ),
        )
        require_known(env, env.read)
        return settings

    @classmethod
    def load(cls, warehouse: str | None = None) -> "Settings":
        """Read the process's environment and, for absent variables, `.env` in DERIBIT_HOME or else
        in the working folder.

        `warehouse` replaces DERIBIT_WAREHOUSE: see `location`. It is read whatever DERIBIT_ENV is.
        """
        env = variables()
        learn([env.get("DERIBIT_CLIENT_SECRET")])
        if warehouse is None:
            settings = cls.from_env(env)
            learn(_secrets_of(settings.warehouse))
            return settings
        elsewhere = dict.fromkeys(("DERIBIT_ENV", "DERIBIT_WAREHOUSE", "DERIBIT_WAREHOUSE_DATA"))
        return replace(cls.from_env({**env, **elsewhere}), warehouse=location(warehouse))

    @property
    def source(self) -> str:
        """Where responses come from, as recorded in the warehouse."""
        return self.base_url or EXCHANGE_URLS.get(self.environment, str(self.environment))


def location(text: str, data: str | None = None) -> Location:
    """The location of another warehouse, spelled like DERIBIT_WAREHOUSE; a lake's files are at
    DERIBIT_WAREHOUSE_DATA, unless `data` is given. Raises InputError."""
    env = variables()
    if text.startswith("ducklake:"):
        home, configured = env.get("DERIBIT_HOME") or "", env.get("DERIBIT_WAREHOUSE_DATA")
        if configured and "://" not in configured:
            configured = str(Path(home) / configured)
        lake = location_of(text, data or configured, env)
        learn(_secrets_of(lake))
        return lake
    file = location_of(text, None, env)
    if data:
        raise InputError(f"{file} is a file and has no Parquet files elsewhere: leave those out.")
    return file


def _secrets_of(warehouse: Location) -> list[str | None]:
    if not isinstance(warehouse, Lake):
        return []
    keys = warehouse.storage
    return [*passwords_of(warehouse.catalog), keys.secret, keys.token]


def _environment(text: str | None) -> Environment:
    try:
        return Environment(text or Environment.MAINNET)
    except ValueError as error:
        choices = ", ".join(Environment)
        raise SettingsError(f"DERIBIT_ENV must be one of {choices}, was {text!r}.") from error


def _url(
    env: Mapping[str, str | None], name: str, is_right: Callable[[str], bool], meant: str
) -> str | None:
    text = env.get(name)
    if text and not is_right(text):
        raise SettingsError(f"{name} must be {meant}, was {addresses.without_credentials(text)!r}.")
    return text.rstrip("/") if text else None


def _positive(env: Mapping[str, str | None], name: str, default: float) -> float:
    text = env.get(name)
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise SettingsError(f"{name} must be a number above 0, was {text!r}.")
    return value


def _is_on(env: Mapping[str, str | None], name: str) -> bool:
    text = env.get(name) or "off"
    if text not in ("on", "off"):
        raise SettingsError(f"{name} must be on or off, was {text!r}.")
    return text == "on"


def _hosts(env: Mapping[str, str | None], name: str) -> tuple[str, ...]:
    hosts = [host.strip().lower() for host in (env.get(name) or "").split(",")]
    for host in filter(None, hosts):
        if not _HOST.fullmatch(host):
            raise SettingsError(
                f"{name} must be names of hosts without scheme and port, such as "
                f"dagster.example.com, was {addresses.without_credentials(host)!r}."
            )
    return tuple(filter(None, hosts))


def _whole(
    env: Mapping[str, str | None],
    name: str,
    default: int,
    least: int = 1,
    most: int = 1_000_000,
) -> int:
    text = env.get(name)
    if not text:
        return default
    if not re.fullmatch("[0-9]{1,20}", text) or not least <= int(text) <= most:
        raise SettingsError(
            f"{name} must be a whole number from {least} to {most}, was {text[:80]!r}."
        )
    return int(text)


def _every(env: Mapping[str, str | None], name: str, default: timedelta) -> timedelta:
    """A duration that divides a day, such as `5m`."""
    text = env.get(name)
    if not text:
        return default
    found = re.fullmatch("([1-9][0-9]{0,3})([smh])", text)
    seconds = int(found[1]) * {"s": 1, "m": 60, "h": 3_600}[found[2]] if found else 0
    if not 10 <= seconds <= 3_600 or 86_400 % seconds:
        raise SettingsError(
            f"{name} must divide a day and be from 10s to 1h, such as 10s, 1m or 5m, was "
            f"{text[:80]!r}."
        )
    return timedelta(seconds=seconds)


def _currencies(
    env: Mapping[str, str | None], name: str, default: tuple[str, ...]
) -> tuple[str, ...]:
    text = env.get(name)
    if not text:
        return default
    found = tuple(dict.fromkeys(each.strip().upper() for each in text.split(",") if each.strip()))
    unknown = [each for each in found if each not in CURRENCIES]
    if unknown or not found:
        raise SettingsError(
            f"{name} must be currencies in which instruments settle ({', '.join(CURRENCIES)}), "
            f"was {text[:80]!r}."
        )
    return found
