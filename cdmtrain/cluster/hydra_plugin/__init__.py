"""Installed as hydra_plugins.cdmtrain, the namespace from which Hydra takes its plugins."""

from cdmtrain.cluster.launcher import SlurmLauncher

__all__ = ["SlurmLauncher"]
