"""What configurations differ in, in as few words as one would type."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from cdmtrain.report.kit.settings import settings
from cdmtrain.runs.read import RunFiles

# Settings that change neither what is trained nor how well, and those that the rows are averaged over
IGNORED = ("run", "run_dir", "print_config", "sweep", "launch", "logger", "callbacks.progress", "data.cache_dir")
REPEATED = ("seed", "data.seed")
FIRST = ("experiment", "model")  # the most interesting columns


class Configuration(NamedTuple):
    """A run's options and settings, and which of them were typed."""

    choices: Mapping[str, str]  # group -> option
    values: Mapping[str, str]  # dotted key -> value as it is typed
    typed: frozenset[str]  # groups and keys

    @property
    def entries(self) -> dict[str, str]:
        return {**self.choices, **self.values}


def configuration(run: RunFiles) -> Configuration:
    """Return a run's configuration without seed, fold and settings that do not matter for the result."""
    run_dir = str(run.config.get("run_dir") or "")
    values = {key: value.replace(run_dir, "") if run_dir else value for key, value in settings(run.config)}
    ignored = (*IGNORED, *REPEATED, *(("data.split.fold",) if run.settings.data.split.folds else ()))
    made = run.provenance
    return Configuration(
        {group: option for group, option in made.choices.items() if option and group not in IGNORED},
        {key: value for key, value in values.items() if not f"{key}.".startswith(tuple(f"{one}." for one in ignored))},
        frozenset(word.lstrip("+~").partition("=")[0] for word in made.overrides),
    )


def differences(configurations: Sequence[Configuration]) -> list[dict[str, str]]:
    """Return for each configuration the groups and keys in which it differs from the others, with their values.

    A group or key that somebody typed is named wherever it differs; another only where the ones named before leave
    two configurations alike. So `model=dnn,cnn` is named, and the widths and strides that come with a model are not.
    """
    entries = [one.entries for one in configurations]
    known = dict.fromkeys(key for one in entries for key in one)
    keys = [key for key in known if len({one.get(key) for one in entries}) > 1]
    keys.sort(key=lambda key: FIRST.index(key) if key in FIRST else len(FIRST))
    typed = [key for key in keys if any(key in one.typed for one in configurations)]
    named: list[str] = []
    for key in [*typed, *(key for key in keys if key not in typed)]:
        if key in typed or not _is_implied(key, named, entries):
            named.append(key)
    return [{key: one[key] for key in named if key in one} for one in entries]


def _is_implied(key: str, named: Sequence[str], entries: Sequence[Mapping[str, str]]) -> bool:
    """Whether configurations that agree in all `named` keys agree in `key` too."""
    found: dict[tuple[str | None, ...], str | None] = {}
    return all(found.setdefault(tuple(one.get(k) for k in named), one.get(key)) == one.get(key) for one in entries)


def short_name(differing: Mapping[str, str], keys: Sequence[str]) -> str:
    """Return `cnn, lr=0.01`: options of FIRST alone, other keys by their last word where no other key has the same."""
    last = [key.rpartition(".")[2] for key in keys]

    def word(key: str) -> str:
        end = key.rpartition(".")[2]
        return end if last.count(end) == 1 else key

    return ", ".join(value if key in FIRST else f"{word(key)}={value}" for key, value in differing.items())
