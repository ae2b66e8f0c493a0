"""Refuse choices for the representation that a model would not notice, or would take for something else."""

from inspect import signature
from typing import Any

from hydra.utils import get_class
from omegaconf import DictConfig

from cdmtrain.config.targets import find_class
from cdmtrain.errors import InputError


def check_used(cfg: DictConfig, model: type | None = None) -> None:
    """Compare the representation that was chosen with what the class of the model says about its input.

    A class may have two attributes: `ignores` names the settings of the representation that do not reach the network,
    such as "edge_features"; `first_features` names the features of hits that it expects in the first columns.

    Args:
        cfg: of the run.
        model: the class of the model, where it is not the one that the configuration names.

    Raises:
        InputError: for a setting that would change nothing, or features in another order.
    """
    model, representation = model or find_class(cfg, "model"), find_class(cfg, "representation")
    name, chosen = model.__name__, cfg.representation
    for key in getattr(model, "ignores", ()):
        default = signature(representation).parameters[key].default if key in chosen else None
        if words := _names(chosen.get(key), default):
            raise InputError(
                f"model {name} does not use representation.{key}, so {words} would change nothing; "
                f"leave out representation/{key}, or choose another model"
            )
    first, features = list(getattr(model, "first_features", ())), list(chosen.get("features") or ())
    if features[: len(first)] != first:
        raise InputError(
            f"model {name} expects [{','.join(first)}] as its first features, and others after them; "
            f"representation/features=[{','.join(features)}] was chosen"
        )


def _names(chosen: Any, default: Any) -> str:
    """The options that were chosen, as one types them; empty where they are those of the default."""
    if not chosen:
        return ""
    if "_target_" not in chosen:
        return f"[{','.join(chosen)}]"
    chosen_class = get_class(chosen._target_)
    return "" if isinstance(default, chosen_class) else chosen_class.__name__
