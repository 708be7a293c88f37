"""The dataset `candles`."""
