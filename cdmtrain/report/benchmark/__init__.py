"""What a benchmark measured."""
