"""Each fault of the sandbox has a unique name."""

from collections import Counter

from deribit_pipeline.sandbox import (
    chart_faults,
    row_faults,
    summary_faults,
    trade_faults,
    value_faults,
)
from deribit_pipeline.sandbox.faults import FAULTS


def test_no_fault_stands_in_the_place_of_another_of_the_same_name() -> None:
    """A fault replaced by another one would leave its responses unchanged."""
    groups = (
        chart_faults.CHART_CHANGES,
        row_faults.CHANGES,
        summary_faults.CHANGES,
        trade_faults.CHANGES,
        value_faults.VALUE_CHANGES,
    )
    named = Counter(name for group in groups for name in group)
    assert [name for name, times in named.items() if times > 1] == []
    assert named.keys() <= FAULTS.keys()
