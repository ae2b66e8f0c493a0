"""What a benchmark measured: the page and the tables of task=benchmark."""
