"""Probabilities that are true, and sets of classes that hold the truth as often as asked, from validation events."""
