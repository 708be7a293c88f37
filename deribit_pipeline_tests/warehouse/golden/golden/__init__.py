"""Warehouses that former versions wrote, and what makes them."""
