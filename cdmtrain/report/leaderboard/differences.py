"""What configurations differ in, in as few words as one would type."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from cdmtrain.report.run.summary import settings
from cdmtrain.report.run_files import RunFiles

# what changes neither what is trained nor how well: places, what is shown, and what the rows are averaged over
BESIDE = ("run", "run_dir", "print_config", "sweep", "launch", "logger", "callbacks.progress", "data.cache_dir")
REPEATED = ("seed", "data.seed")
FIRST = ("experiment", "model")  # the columns one looks for


class Configuration(NamedTuple):
    """A run's configuration in its two forms, and which of its keys were typed."""

    choices: Mapping[str, str]  # group -> option
    values: Mapping[str, str]  # dotted key -> value as it is typed
    typed: frozenset[str]  # groups and keys

    @property
    def entries(self) -> dict[str, str]:
        return {**self.choices, **self.values}


def configuration(run: RunFiles) -> Configuration:
    """Return what makes a run's configuration, without seed, fold and what lies beside it."""
    place = str(run.config.get("run_dir") or "")
    values = {key: value.replace(place, "") if place else value for key, value in settings(run.config)}
    beside = [*BESIDE, *REPEATED, *(["data.split.fold"] if num_folds(run) else [])]
    inside = {key: value for key, value in values.items() if not any(_covers(one, key) for one in beside)}
    choices = {str(group): str(option) for group, option in (run.provenance.get("choices") or {}).items()}
    typed = {str(word).lstrip("+~").partition("=")[0] for word in run.provenance.get("overrides") or []}
    return Configuration(
        {group: option for group, option in choices.items() if option != "None" and group not in BESIDE},
        inside,
        frozenset(typed),
    )


def num_folds(run: RunFiles) -> int | None:
    """Return into how many folds the run's events were divided; None without cross-validation."""
    return ((run.config.get("data") or {}).get("split") or {}).get("folds")


def _covers(prefix: str, key: str) -> bool:
    return key == prefix or key.startswith(f"{prefix}.")


def differences(configurations: Sequence[Configuration]) -> list[dict[str, str]]:
    """Return for each configuration the groups and keys that tell it from the others, with their options and values.

    A group or key that somebody typed is told wherever it differs; another only where those told so far leave two
    configurations alike. So `model=dnn,cnn` is told, and the widths and strides that come with a model are not.
    """
    everything = [one.entries for one in configurations]
    keys = [key for key in dict.fromkeys(key for one in everything for key in one) if _differs(key, everything)]
    keys.sort(key=lambda key: FIRST.index(key) if key in FIRST else len(FIRST))
    typed = [key for key in keys if any(key in one.typed for one in configurations)]
    told: list[str] = []
    for key in [*typed, *(key for key in keys if key not in typed)]:
        if key in typed or not _is_implied(key, told, everything):
            told.append(key)
    return [{key: one[key] for key in told if key in one} for one in everything]


def _differs(key: str, everything: Sequence[Mapping[str, str]]) -> bool:
    return len({one.get(key) for one in everything}) > 1


def _is_implied(key: str, told: Sequence[str], everything: Sequence[Mapping[str, str]]) -> bool:
    """Tell whether configurations alike in all that is told are alike in `key` too."""
    found: dict[tuple[str | None, ...], str | None] = {}
    return all(found.setdefault(tuple(one.get(k) for k in told), one.get(key)) == one.get(key) for one in everything)


def short_name(differing: Mapping[str, str], keys: Sequence[str]) -> str:
    """Return `cnn, lr=0.01`: options of FIRST alone, other keys by their last word where one of `keys` has it."""
    last = [key.rpartition(".")[2] for key in keys]

    def word(key: str) -> str:
        end = key.rpartition(".")[2]
        return end if last.count(end) == 1 else key

    return ", ".join(value if key in FIRST else f"{word(key)}={value}" for key, value in differing.items())
