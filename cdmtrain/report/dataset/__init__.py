"""What a data set holds: the page and the tables of task=inspect."""
