"""What every page is made of: style, markup, tables, numbers, event displays."""
