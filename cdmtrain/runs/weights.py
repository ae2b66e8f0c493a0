"""Begin a new run with the weights of another one (`weights=`): what fits is loaded, the rest keeps its new weights."""

import hashlib
import json
import logging
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from torch import nn

from cdmtrain.config.sources import leaves
from cdmtrain.errors import InputError
from cdmtrain.learner import Learner
from cdmtrain.runs.check import check
from cdmtrain.runs.checkpoint import NAMES, checkpoint_path, read_checkpoint
from cdmtrain.runs.config_file import read_config_file
from cdmtrain.runs.find import run_directory
from cdmtrain.runs.process import is_first_process
from cdmtrain.runs.provenance import RunProvenance
from cdmtrain.runs.records import Weights
from cdmtrain.terminal import printable

EXPECTED = "a run directory or a .ckpt file is expected"
MOST_NAMES = 8  # that are printed

log = logging.getLogger(__name__)


def load_first_weights(learner: Learner, cfg: DictConfig, run: Path, provenance: RunProvenance) -> None:
    """Load what fits of the weights that a run begins with, print it and record it; nothing without `weights=`.

    Args:
        learner: of the run, with new weights.
        cfg: of the run; its `weights` is a run directory, whose best.ckpt is read, or a checkpoint file.
        run: the directory of the run.
        provenance: of the run.

    Raises:
        InputError: where there is no such file, nothing in it fits, or a module that is frozen would stay random.
    """
    weights = cfg.get("weights")
    if weights is None:
        return
    before = provenance.record.weights
    try:
        path = find_weights(weights)
    except InputError as error:
        again = f"{run} was stopped before its first checkpoint and begins anew; " if before else ""
        raise InputError(f"{again}{error}") from error
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if before and before.sha256 != digest:
        log.warning("%s has changed since %s began, which begins anew with what it holds now", path, run)
    found = Weights(str(path.resolve()), digest, *load_matching(learner, path))
    random = [name for name, one in learner.named_parameters() if not one.requires_grad and name in found.new]
    if random:
        raise InputError(f"freeze: {_brief(random, found.loaded)} would keep random values, as {path} has none for it")
    learner.loaded = frozenset(found.loaded)
    if is_first_process():
        log.info("%s", _summary(learner, weights, found))
        if found.unused and (words := _other_settings(cfg, path)):
            source = printable(str(weights))
            log.warning("weights=%s is of a network with %s; add these words to load all of it", source, words)
    provenance.record_weights(found)


def check_weights(cfg: DictConfig) -> None:
    """Refuse values of `weights`, `weights_lr` and `freeze` that mean nothing."""
    weights, rate, freeze = cfg.get("weights"), cfg.get("weights_lr", 1.0), cfg.get("freeze") or []
    if type(rate) not in (int, float) or not 0 < rate < math.inf:
        raise InputError(f"weights_lr={rate}: a number above 0 is expected; freeze=[...] keeps modules as they are")
    if rate != 1 and weights is None:
        raise InputError(f"weights_lr={rate} is the rate of loaded weights; add weights=..., or set optimizer.lr")
    if not isinstance(freeze, ListConfig | list):
        raise InputError(f"freeze={freeze}: a list of modules in brackets is expected")


def loaded_names(checkpoint: Mapping[str, Any], path: Path) -> frozenset[str]:
    """The names of the tensors whose first values were another run's, as a checkpoint of the run keeps them."""
    return frozenset(check(checkpoint.get("loaded", []), list[str], f"{path}: loaded"))


def find_weights(weights: object) -> Path:
    """Return the checkpoint that `weights=` means: best.ckpt of a run directory or of `best`, or the file itself."""
    path = run_directory(weights)
    if not isinstance(weights, str) or not path.exists():
        raise InputError(f"weights={weights} does not exist; {EXPECTED}")
    if path.is_dir() and not (path / NAMES["best"]).exists():
        raise InputError(f"weights={weights}: there is no {NAMES['best']} in it; {EXPECTED}")
    if not path.is_dir() and not path.is_file():
        raise InputError(f"weights={weights} is not an ordinary file; {EXPECTED}")
    return checkpoint_path(path, "best") if path.is_dir() else path


def load_matching(learner: Learner, path: Path) -> tuple[list[str], list[str], list[str]]:
    """Load the tensors of a checkpoint whose names and shapes are those of the network.

    Returns:
        The names of the tensors that are loaded, of those that keep new values, and of those in the file that the
        network has no place for.

    Raises:
        InputError: where no parameter fits.
    """
    content = read_checkpoint(path)
    untrained = check(content.get("untrained", []), list[str], f"{path}: untrained")  # by a pretraining
    state = {key: value for key, value in content["state_dict"].items() if key not in untrained}
    loaded, unused = [], []
    for name in ("representation", "model"):
        mine = {key.removeprefix(f"{name}."): value for key, value in state.items() if key.startswith(f"{name}.")}
        fits, others = _load_part(getattr(learner, name), mine)
        loaded += [f"{name}.{key}" for key in fits]
        unused += [f"{name}.{key}" for key in others]
    own = [key for key in learner.state_dict() if key.startswith(("representation.", "model."))]
    if not {key for key, _ in learner.named_parameters()} & set(loaded):
        raise InputError(
            f"weights={path}: none of its weights has the name and shape of a weight of this network; choose the model "
            "that it was trained as, with the same sizes"
        )
    return loaded, [key for key in own if key not in loaded], unused


def _load_part(part: nn.Module, state: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Load what fits; return the names of what does and of what does not. Old names become today's before."""
    shapes = {key: value.shape for key, value in part.state_dict().items()}
    fits: list[str] = []
    others: list[str] = []

    def keep_what_fits(module: nn.Module, renamed: dict[str, Any], *more: object) -> None:
        fits.extend(key for key, value in renamed.items() if getattr(value, "shape", None) == shapes.get(key, ...))
        others.extend(key for key in renamed if key not in fits)
        for key in others:
            del renamed[key]

    hook = part.register_load_state_dict_pre_hook(keep_what_fits)  # runs after those of the network
    part.load_state_dict(state, strict=False)
    hook.remove()
    return fits, others


def _summary(learner: Learner, weights: object, found: Weights) -> str:
    """One line, such as "weights=a: 100 of 120 parameters are loaded; new: head"."""
    sizes = {name: parameter.numel() for name, parameter in learner.named_parameters()}
    of_network = sum(size for name, size in sizes.items() if name.startswith(("representation.", "model.")))
    loaded = sum(sizes.get(name, 0) for name in found.loaded)
    parts = [f"weights={printable(str(weights))}: {loaded:,} of {of_network:,} parameters are loaded"]
    if found.new:
        parts.append(f"new: {_brief(found.new, found.loaded)}")
    if found.unused:
        parts.append(f"in the file and not used: {printable(_brief(found.unused, found.loaded))}")
    return "; ".join(parts)


def _other_settings(cfg: DictConfig, path: Path) -> str:
    """What the run of a checkpoint sets otherwise for the same kind of model, as one types it; empty if unknown."""
    with suppress(InputError):
        theirs = dict(leaves({"model": (read_config_file(path.resolve().parent.parent) or {}).get("model") or {}}))
        mine = dict(leaves({"model": OmegaConf.to_container(cfg.model)}))
        if theirs.get("model._target_") == mine.get("model._target_"):
            others = [key for key in theirs if theirs[key] != mine.get(key, theirs[key]) and "${" not in str(mine[key])]
            return " ".join(printable(f"{key}={json.dumps(theirs[key], separators=(',', ':'))}") for key in others)
    return ""


def _brief(names: Sequence[str], others: Collection[str]) -> str:
    """Names of tensors, those of a whole module as the name of the module."""
    taken = {prefix for name in others for prefix in _prefixes(name)}
    modules = dict.fromkeys(next(one for one in _prefixes(name) if one not in taken) for name in names)
    shown = [module.removeprefix("model.") for module in modules]
    more = [f"and {len(shown) - MOST_NAMES} more"] if len(shown) > MOST_NAMES else []
    return ", ".join(shown[:MOST_NAMES] + more)


def _prefixes(name: str) -> Iterator[str]:
    """Of a.b.c: a, a.b and a.b.c."""
    words = name.split(".")
    yield from (".".join(words[:length]) for length in range(1, len(words) + 1))
