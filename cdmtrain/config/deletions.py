"""Let `~key` delete a key whose value is null."""

from collections.abc import Iterator, Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from cdmtrain.config.sources import Composition, groups, select


def with_deletable_nulls(words: Sequence[str]) -> list[str]:
    """Return the words of a command with `key=0` before each `~key` of a null value.

    Hydra takes a null for a key that does not exist, and refuses to delete it.
    """
    if not any(word.startswith("~") for word in words):
        return list(words)
    try:
        typed = OverridesParser.create().parse_overrides([word for word in words if _is_override(word)])
    except HydraException:  # it is raised again when the words are composed
        return list(words)
    known = groups()
    chosen = {one.key_or_group: _first_value(one) for one in typed if one.key_or_group in known and not one.is_delete()}
    values = Composition(chosen).values()
    null = {f"~{one.key_or_group}" for one in typed if one.is_delete() and _is_null(one.key_or_group, values)}
    return [part for word in words for part in _filled(word, null)]


def _is_override(word: str) -> bool:
    return word.startswith("~") or ("=" in word and not word.startswith("-"))


def _first_value(override: Override) -> object:
    """The option that a word chooses, the first one of a sweep."""
    return next(iter(override.sweep_iterator())) if override.is_sweep_override() else override.value()


def _is_null(key: str, values: dict[str, object]) -> bool:
    parent, _, name = key.rpartition(".")
    node = select(values, parent)
    return isinstance(node, dict) and name in node and node[name] is None


def _filled(word: str, null: set[str]) -> Iterator[str]:
    if word.partition("=")[0] in null:
        yield f"{word[1:].partition('=')[0]}=0"
    yield word
