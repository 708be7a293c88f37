"""The exchange as an external asset, and the check that says whether it can be reached."""

import dagster as dg

from deribit_pipeline.connectivity import probes
from deribit_pipeline.settings import Settings

DERIBIT_API = dg.AssetSpec(
    "deribit_api",
    group_name="exchange",
    kinds={"deribit"},
    description="The exchange's public API. Nothing is made of it here: its check is_reachable "
    "says whether it answers, as which environment, and whether all else that a backfill needs "
    "is at hand.",
)


def reachability_check(settings: Settings) -> dg.AssetChecksDefinition:
    """The check `is_reachable`: every probe that `deribit-pipeline check` prints."""

    @dg.asset_check(
        asset="deribit_api",
        name="is_reachable",
        description="The exchange answers over HTTP with a valid envelope, as the environment "
        "that is configured; it is not locked, takes our credentials where we have some, and the "
        "warehouse can be opened.",
    )
    def is_reachable() -> dg.AssetCheckResult:
        made = probes(settings)
        failed = [probe for probe in made if not probe.is_ok]
        return dg.AssetCheckResult(
            passed=not failed,
            description="; ".join(f"{probe.name}: {probe.detail}" for probe in failed or made),
            metadata={probe.name: probe.detail for probe in made},
        )

    return is_reachable
