"""How instruments and days become partitions of assets: the grids that `grid.py` measures."""

import enum
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from deribit_pipeline.settings import FIRST_DAY

DATASET = "candles_1m"

_GROUP_SIZE = 20


class Layout(enum.StrEnum):
    """How the instruments are divided among assets; the value is the end of a grid's title."""

    ONE = ""
    GROUPS = ", groups of 20"
    EACH = ", an asset each"


@dataclass(frozen=True)
class Grid:
    """The number of instruments, the first of their days, and their division among assets."""

    instruments: int
    since: date = FIRST_DAY
    layout: Layout = Layout.ONE

    @property
    def names(self) -> list[str]:
        invented = (f"X{number:03}_USDC-PERPETUAL" for number in range(self.instruments - 2))
        return ["BTC-PERPETUAL", "ETH-PERPETUAL", *invented]

    @property
    def days(self) -> list[date]:
        today = datetime.now(UTC).date()
        return [self.since + timedelta(days=n) for n in range((today - self.since).days + 1)]

    @property
    def title(self) -> str:
        since = "8 years" if self.since == FIRST_DAY else f"since {self.since}"
        many = f"{self.instruments * len(self.days):,}"
        return f"{self.instruments} × {since}{self.layout}: {many}"

    @property
    def location(self) -> str:
        """The module that Dagster loads."""
        return "each_instrument" if self.layout is Layout.EACH else "deribit_pipeline.definitions"

    @property
    def assets(self) -> dict[tuple[str, ...], list[str]]:
        """The instruments of each asset of one-minute candles, by its key; BTC-PERPETUAL is in the
        first one."""
        names = self.names
        if self.layout is Layout.EACH:
            return {(name.replace("-", "_"), DATASET): [name] for name in names}
        if self.layout is Layout.ONE:
            return {(DATASET,): names}
        parts = [names[n : n + _GROUP_SIZE] for n in range(0, len(names), _GROUP_SIZE)]
        return {
            (f"g{number:02}", DATASET) if number else (DATASET,): part
            for number, part in enumerate(parts)
        }

    @property
    def asset_group(self) -> str:
        """An asset group that the lineage shows."""
        return next(iter(self.assets))[0] if self.layout is Layout.EACH else "exchange"

    @property
    def variables(self) -> dict[str, str]:
        """The settings, as environment variables."""
        if self.layout is Layout.EACH:
            return {"DERIBIT_INSTRUMENTS": ",".join(self.names)}
        plain, *groups = self.assets.items()
        return {
            "DERIBIT_INSTRUMENTS": ",".join(plain[1]),
            "DERIBIT_GROUPS": "; ".join(f"{key[0]}: {','.join(names)}" for key, names in groups),
            "DERIBIT_PARTITIONS_SINCE": self.since.isoformat(),
        }

    def key(self, name: str, day: date) -> str:
        """The partition key of an instrument's day."""
        return str(day) if self.layout is Layout.EACH else f"{name}|{day}"
