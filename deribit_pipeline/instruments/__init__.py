"""What the exchange lists: its specifications, their history, and choices of some of them."""
