"""Dagster: assets, partitions, checks, resources, runs. No other package imports Dagster."""

import warnings

import dagster as dg

# Single-run backfills and log handlers from dagster.yaml are in beta. This project depends on them
# and tests them; twelve warnings at each start would hide one that matters.
warnings.filterwarnings("ignore", category=dg.BetaWarning)
