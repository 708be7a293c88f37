"""The exchange's API: requests, rate limit, retries, authentication, envelope. Imports httpx;
imports neither Dagster nor DuckDB, and knows no dataset."""
