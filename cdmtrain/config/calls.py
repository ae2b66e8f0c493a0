"""From the words of a call in Python to a composed configuration; errors are raised, with the command's sentences."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, read_write

from cdmtrain.config.compose import composed
from cdmtrain.config.deletions import with_deletable_nulls
from cdmtrain.config.explain import explain
from cdmtrain.config.overrides import override_keys
from cdmtrain.config.own_code import own_targets
from cdmtrain.config.roots import FLAGS, using, without_dirs
from cdmtrain.config.suggestions import explain_composition
from cdmtrain.config.words import with_paths_as_words
from cdmtrain.errors import InputError

_TRAINING = threading.Lock()


def checked_words(words: Sequence[str]) -> list[str]:
    """The words of a call.

    Raises:
        InputError: for what the command alone can do.
    """
    for word in words:
        if not isinstance(word, str):
            raise InputError(f'cdmtrain.train takes words such as "model=gnn"; {word!r} is none')
        if word.startswith("-") and word.partition("=")[0] not in FLAGS:
            raise InputError(f"{word} is for the command; cdmtrain.train trains one run: for several, write a loop")
        if word.startswith("task=") and word not in ("task=train", "task=pretrain"):
            raise InputError(f"cdmtrain.train trains; {word} is for the command: cdmtrain {word} ...")
    return list(words)


@contextmanager
def composed_call(words: list[str]) -> Iterator[DictConfig]:
    """Compose one configuration as `composed` does, with the options in the directories that the words name.

    Raises:
        InputError: for words from which no configuration can be composed.
    """
    with ExitStack() as stack:
        stack.enter_context(using(words))
        own_targets.clear()  # of an earlier call
        try:
            cfg = stack.enter_context(composed(with_deletable_nulls(with_paths_as_words(without_dirs(words)))))
        except Exception as error:
            if sentence := explain_composition(error, words) or explain(error):
                raise InputError(sentence) from error
            raise
        yield cfg


def record_class(cfg: DictConfig, model: object) -> None:
    """Let the configuration name the class of a network that was given as an object."""
    if typed := [key for key in override_keys() if key.partition(".")[0] == "model"]:
        raise InputError(f"{typed[0]}= and model=<an object> were both given; an object has its settings already")
    kind = type(model)
    OmegaConf.update(cfg, "model", {"_target_": f"{kind.__module__}.{kind.__qualname__}"}, merge=False)
    job: Any = HydraConfig.get()
    with read_write(job):
        job.runtime.choices.model = kind.__name__


@contextmanager
def alone() -> Iterator[None]:
    """Refuse a second training in this process, which shares random numbers and Hydra with the first one."""
    if not _TRAINING.acquire(blocking=False):
        raise InputError("a training runs in this process already; wait for it, or train in another process")
    try:
        yield
    finally:
        _TRAINING.release()
