"""How the days of each dataset are fetched: one module for each kind of paging."""
