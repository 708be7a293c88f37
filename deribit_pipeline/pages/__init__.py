"""Visualizations of stored data, each a self-contained HTML page: data in, text out."""
