"""What must hold of each dataset: rules of all, and those of its own."""

from deribit_pipeline.datasets import price_rules, rate_rules
from deribit_pipeline.datasets.candles import rules as candles
from deribit_pipeline.datasets.candles_rebuilt import rules as rebuilt
from deribit_pipeline.datasets.registry import CANDLES, CANDLES_REBUILT, DATASETS
from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.engine.row_reads import table_of
from deribit_pipeline.engine.rules import Rule, shared_rules

_OWN = {
    **{dataset.name: candles.rules_of(resolution) for resolution, dataset in CANDLES.items()},
    **rate_rules.RULES,
    **price_rules.RULES,
    CANDLES_REBUILT.name: rebuilt.RULES,
}


def rules_of(dataset: Dataset) -> tuple[Rule, ...]:
    """The rules of a dataset."""
    table = table_of(dataset)
    together = [other for other in DATASETS.values() if table_of(other) is table]
    return (*shared_rules(dataset, together), *_OWN.get(dataset.name, ()))
