"""The exchange's API: requests, rate limit, retries, authentication, envelope. Imports httpx, but
neither Dagster nor DuckDB, and contains nothing about datasets."""
