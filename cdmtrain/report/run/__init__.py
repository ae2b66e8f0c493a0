"""The page of one run, and the tables at the end of its training."""
