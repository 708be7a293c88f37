"""The exchange's listings: instrument specifications, their history, and selections of them."""
