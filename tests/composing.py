"""Hydra reads each file of the package once, and merges the files of the same options once.

The configurations that tests compose differ mostly in values, which are applied anew. Where a directory or another
package is searched too, only the package's own files are kept: the others may change.
"""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from hydra._internal import config_loader_impl as loader
from hydra._internal.config_repository import CachingConfigRepository
from hydra._internal.defaults_list import Overrides
from omegaconf import DictConfig

PACKAGE = "provider=main, path=pkg://cdmtrain.conf"
UNCHANGING = {PACKAGE, "provider=hydra, path=pkg://hydra.conf", "provider=schema, path=structured://"}


def compose_once() -> None:
    """From now on, in this process."""
    kept: dict[str, Any] = {}
    files: dict[str, Any] = {}
    create, merge = loader.create_defaults_list, loader.ConfigLoaderImpl._compose_config_from_defaults_list

    def once(repo: Any, key: str, make: Callable[[], Any]) -> Any:
        if not {str(source) for source in repo.get_sources()} <= UNCHANGING:
            return make()
        if key not in kept:
            kept[key] = make()
        return deepcopy(kept[key])

    class Files(CachingConfigRepository):
        def load_config(self, config_path: str) -> Any:
            if config_path not in self.cache:
                is_package = PACKAGE in map(str, self.get_sources())
                found = files.get(config_path) if is_package else None
                found = found or self.delegate.load_config(config_path=config_path)
                if is_package and found is not None and f"provider={found.provider}, path={found.path}" in UNCHANGING:
                    files[config_path], found = found, deepcopy(found)
                self.cache[config_path] = found
            return self.cache[config_path]

    def create_once(*, repo: Any, overrides_list: Any, **options: Any) -> Any:
        typed = Overrides(repo, overrides_list)
        key = f"{typed.override_choices} {typed.append_group_defaults} {typed.deletions} {options}"
        found = once(repo, key, lambda: create(repo=repo, overrides_list=overrides_list, **options))
        found.config_overrides = typed.config_overrides
        return found

    def merge_once(self: Any, defaults: Any, repo: Any) -> DictConfig:
        return once(repo, str(defaults), lambda: merge(self, defaults, repo))  # type: ignore[no-any-return]

    loader.CachingConfigRepository = Files  # type: ignore[misc]
    loader.create_defaults_list = create_once
    loader.ConfigLoaderImpl._compose_config_from_defaults_list = merge_once  # type: ignore[method-assign]
