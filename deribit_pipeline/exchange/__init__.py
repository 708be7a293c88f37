"""The exchange: call, pace, retry, parse. Knows httpx, and nothing of Dagster or DuckDB."""
