"""What a data set holds: the page of task=inspect."""
