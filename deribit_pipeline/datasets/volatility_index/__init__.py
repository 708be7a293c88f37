"""The dataset `volatility_index`."""
