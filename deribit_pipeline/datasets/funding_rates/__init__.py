"""Funding rates of perpetuals, hour by hour."""

from deribit_pipeline.datasets.funding_rates.listing import least_rows
from deribit_pipeline.datasets.funding_rates.rules import RULES
from deribit_pipeline.datasets.funding_rates.table import TABLE
from deribit_pipeline.datasets.funding_rates.views import VIEWS
from deribit_pipeline.domain.dataset import Dataset, SeriesKind
from deribit_pipeline.domain.schedule import daily

FUNDING_RATES = Dataset(
    name="funding_rates",
    label="funding rates",
    rows="hours",
    series=SeriesKind.INSTRUMENT,
    is_of_perpetuals=True,
    at="funded_at",
    key=("funded_at",),
    table=TABLE,
    views=VIEWS,
    rules=RULES,
    rows_per_day=24,
    least_rows=least_rows,
    source=f"{__name__}.source:SOURCE",
    proves=(
        "its 24 hours; the view `funding` adds yearly rates, "
        "`cumulative_funding(…)` what a position paid"
    ),
    schedules=(daily("00:12"),),
)
