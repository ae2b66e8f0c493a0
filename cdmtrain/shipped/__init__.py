"""Trained networks that come with the package, as run directories: `run=best`, `weights=best`, `load_run("best")`."""
