"""The exchange as an external asset, with the check whether it is reachable."""

import dagster as dg

from deribit_pipeline.connectivity import probes
from deribit_pipeline.settings import Settings

DERIBIT_API = dg.AssetSpec(
    "deribit_api",
    group_name="exchange",
    kinds={"deribit"},
    description="The exchange's public API. It is not materialized: its check is_reachable "
    "reports whether it responds, as which environment, and whether everything else that a "
    "backfill needs is available.",
)


def reachability_check(settings: Settings) -> dg.AssetChecksDefinition:
    """The check `is_reachable`: every probe that `deribit-pipeline check` prints."""

    @dg.asset_check(
        asset="deribit_api",
        name="is_reachable",
        description="The exchange responds over HTTP with a valid envelope, as the configured "
        "environment; it is not locked, accepts the credentials if there are any, and the "
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
