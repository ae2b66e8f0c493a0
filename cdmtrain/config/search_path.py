"""Hydra looks options up in the directories of the user and of installed extensions too."""

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin

from cdmtrain.config.roots import extensions, user_dirs


class MoreOptions(SearchPathPlugin):
    """Adds the directories of `cdmtrain.config.roots`, after the packaged one."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for name, folder in [*(("user", one) for one in user_dirs()), *extensions().items()]:
            search_path.append(name, f"file://{folder}")


def register() -> None:
    """Make the directories known to Hydra, for every configuration that this process composes."""
    Plugins.instance().register(MoreOptions)
