"""What every page is made of: the plotting style, HTML, tables, numbers, event displays."""
