"""Pure values that every layer shares. All time is UTC."""
