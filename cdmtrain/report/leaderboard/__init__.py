"""Runs ranked beside each other."""
