"""The dataset `delivery_prices`."""
