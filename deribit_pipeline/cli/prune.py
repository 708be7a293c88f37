"""`prune`: old runs out of Dagster's books."""

from datetime import UTC, datetime, timedelta

from deribit_pipeline.cli.terminal import stderr
from deribit_pipeline.defs import retention
from deribit_pipeline.settings import Settings


def run(older_than: int, *, plan: bool) -> int:
    """The command `prune`; answers its exit code."""
    home = Settings.load().dagster_home
    before = datetime.now(UTC) - timedelta(days=older_than)
    if plan:
        runs = len(retention.old_runs(home, before))
        stderr().print(f"Runs to prune in {home}: {runs:,}.", markup=False, soft_wrap=True)
        return 0
    pruned = retention.prune(home, before)
    stderr().print(
        f"Runs pruned in {home}: {pruned.runs:,}; {pruned.freed / 1e6:,.1f} MB freed.",
        markup=False,
        soft_wrap=True,
    )
    return 0
