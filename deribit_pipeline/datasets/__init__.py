"""One folder for each dataset; `registry` lists them."""
