"""The page of one run and the table at the end of its training."""
