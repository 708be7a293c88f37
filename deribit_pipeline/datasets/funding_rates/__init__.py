"""The dataset `funding_rates`."""
