"""The dataset `candles_rebuilt`."""
