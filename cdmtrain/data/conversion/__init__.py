"""Convert images of other formats to the challenge's: open a source, clean its pixels, name its particles."""
