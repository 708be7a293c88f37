"""Dagster: assets, partitions, checks, resources, runs. The only place that knows Dagster."""

import warnings

import dagster as dg

# Single-run backfills and log handlers from dagster.yaml are called beta. They are what this
# project rests on, and its tests hold them; twelve warnings a start would hide one that matters.
warnings.filterwarnings("ignore", category=dg.BetaWarning)
