"""One sentence for what a user can put right: what was got, what is allowed, what to do next.

None stands for a fault of the program, which deserves its traceback.
"""

import errno
import re
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

import yaml
from hydra.errors import HydraException, InstantiationException, MissingConfigException, OverrideParseException
from omegaconf.errors import InterpolationResolutionError, MissingMandatoryValue

from cdmtrain.config.changes import BUNDLES
from cdmtrain.config.help import CONF, default_choices, groups
from cdmtrain.errors import InputError

DETAILS = "(HYDRA_FULL_ERROR=1 shows where)"

# what a disk or a path does, rather than the program
FILE_SYSTEM = (
    *(errno.ENOENT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR),
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO),
)

# what classes raise when they are built from a value they cannot use
BAD_VALUE = (TypeError, ValueError, RuntimeError, ArithmeticError)


def explain_composition(exception: Exception, words: Sequence[str]) -> str | None:
    """The sentence for what Hydra could not compose from the words typed."""
    message = str(exception).split("\nConfig search path")[0]
    if isinstance(exception, OverrideParseException):
        return _syntax(exception.override, message)
    if isinstance(exception, MissingConfigException) and exception.missing_cfg_file:
        group, _, option = exception.missing_cfg_file.rpartition("/")
        return _no_option(group, option, exception.options or [])
    if "Config group override must be" in message:
        wrong = [word.partition("=") for word in words if word.partition("=")[0] in groups()]
        group, _, option = next(word for word in wrong if not re.match(r"[A-Za-z\[]\w*(?<!null)$", word[2]))
        return _no_option(group, option)
    if unknown := re.match(r"(?:In '.*': )?Could not (?:override|delete from config\.) '([^']+)'", message):
        return no_key(unknown[1])
    if ambiguous := re.match(r"Ambiguous value for argument '([^=]+)=(.*)'", message):
        key, value = ambiguous.groups()
        as_list = "" if key in groups() else f", or brackets to make one list of them: {key}=[{value}]"
        return f"{key}={value} is several values; add -m to run each{as_list}"
    if there := re.search(r"Multiple values for ([^.]+)\.|An item is already at '([^']+)'", message):
        return f"{there[1] or there[2]} exists already; write it without +"
    return " ".join(message.split()) if isinstance(exception, HydraException) else explain_job(exception)


def _syntax(override: str, message: str) -> str:
    """What is wrong with a word that is no `key=value`."""
    if "=" not in override:
        options = [f"{group}={option.name}" for group, found in groups().items() for option in found]
        near = [option for option in options if option.split("=")[1] == override]
        return f"{override} is not of the form key=value" + _did_you_mean(near or _nearest(override, options, {}))
    if any(override.count(left) != override.count(right) for left, right in ("[]", "{}", "()")):
        return f"{override}: a bracket is not closed"
    key, _, value = override.partition("=")
    return f"""{override} cannot be read; quote a value with special characters: '{key}="{value}"'"""


def _no_option(group: str, option: str, available: Sequence[str] = ()) -> str:
    options = available or [option.name for option in groups()[group]]
    near = [f"{group}={name}" for name in get_close_matches(option, options)]
    return f"{group}={option} does not exist{_did_you_mean(near)} (options: {', '.join(options)})"


def no_key(key: str) -> str:
    """The sentence for a key that the composed configuration lacks: where it belongs, or what is near."""
    keys = _owners()
    if key in groups():
        return _no_part(*key.rsplit("/", 1))
    if owners := keys.get(key):
        add = f"add {owners[0]}" if len(owners) == 1 else "add one of them"
        return f"{key} belongs to {' and '.join(owners)}; {add}"
    parent = key.rpartition(".")[0]
    siblings = {name.rpartition(".")[2]: name for name in keys if name.rpartition(".")[0] == parent}
    near = _nearest(key, keys, siblings)
    if parent and siblings and not near:
        return f"{key} does not exist; {parent} has {', '.join(sorted(siblings))}"
    return f"{key} does not exist{_did_you_mean(near) or '; cdmtrain --cfg job shows every key'}"


def _no_part(group: str, part: str) -> str:
    """The sentence for a nested group that the option chosen for its parent does not have."""
    files = [CONF / group / f"{option.name}.yaml" for option in groups()[group]]
    owners = [file.stem for file in files if part in default_choices(file)]
    return f"{group}/{part} belongs to {group}={' or '.join(owners)}; the {group} chosen here has none"


def _nearest(key: str, names: Iterable[str], siblings: dict[str, str]) -> list[str]:
    """The names most like the key: under the same parent if that exists, else the same or a like last word."""
    last = key.rpartition(".")[2]
    beside = [siblings[name] for name in get_close_matches(last, siblings)]
    if beside or (siblings and last != key):
        return beside
    ends: dict[str, list[str]] = {}
    for name in names:
        ends.setdefault(name.rpartition(".")[2], []).append(name)
    whole = get_close_matches(key, names, n=1, cutoff=0.75)
    return ends.get(last) or whole or [name for end in get_close_matches(last, ends, n=1) for name in ends[end]]


def _did_you_mean(near: Sequence[str]) -> str:
    return f"; did you mean {' or '.join(near)}?" if near else ""


def _owners() -> dict[str, list[str]]:
    """Every key that some yaml file sets, with the options it comes with; a group's name is a key of no option."""
    owners: dict[str, list[str]] = {group: [] for group in groups()}
    for key in _keys("", CONF / "config.yaml"):
        owners.setdefault(key, [])
    for group, options in groups().items():
        for option in options if group not in BUNDLES else []:
            for key in _keys(group, CONF / group / f"{option.name}.yaml"):
                owners.setdefault(key, []).append(f"{group}={option.name}")
    return owners


def _keys(group: str, file: Path) -> Iterator[str]:
    """The dotted keys of a yaml file, inner nodes too, at the place where its group puts them."""
    text = file.read_text(encoding="utf-8")
    package = "" if "# @package _global_" in text else group.replace("/", ".")

    def walk(prefix: str, content: object) -> Iterator[str]:
        for name, value in content.items() if isinstance(content, dict) else ():
            if name not in ("defaults", "hydra") and not str(name).startswith("_"):
                yield f"{prefix}{name}"
                yield from walk(f"{prefix}{name}.", value)

    yield from walk(f"{package}." if package else "", yaml.load(text, yaml.CSafeLoader))


def no_value(key: str, chosen: Mapping[str, str | None] | None = None) -> str:
    """The sentence for a value that has no default and was not typed, with a command of the option that was chosen."""
    owned = _owners().get(key, [])
    owned = [f"{group}={option}" for group, option in (chosen or {}).items() if f"{group}={option}" in owned] or owned
    options = (option for group, found in groups().items() for option in found if f"{group}={option.name}" in owned)
    command = next((option.command for option in options if f"{key}=" in option.command), None)
    return f"{key} is missing; " + (f"type for example: cdmtrain {command}" if command else f"add {key}=...")


def explain_job(exception: BaseException) -> str | None:
    """The sentence for what a task could not do."""
    key, cause = _node(exception), exception
    while isinstance(cause, InstantiationException) and cause.__cause__ is not None:
        cause = cause.__cause__
    message = " ".join(str(cause).split())
    if isinstance(cause, InputError):
        return str(cause)
    if isinstance(cause, MissingMandatoryValue):
        return no_value(str(cause.full_key))
    if isinstance(cause, InterpolationResolutionError):
        return f"{cause.full_key}: {str(cause).splitlines()[0]}"
    if type(cause).__module__.startswith(("torch._dynamo", "torch._inductor")):
        reason = " ".join(str(cause).strip().partition("\n\n")[0].split())
        return f"trainer.compile=true: this network cannot be compiled here ({reason}); set trainer.compile=false"
    if type(cause).__name__ == "OutOfMemoryError":
        return "the accelerator's memory is full; try a smaller data.batch_size or a smaller model"
    if type(cause).__name__ == "MisconfigurationException":
        return _accelerator(message) or f"{key or 'trainer'}: {message} {DETAILS}"
    if isinstance(cause, ModuleNotFoundError) and (extra := _extra(f"{cause.name} {key} {message}")):
        return f"{_choice(key, extra)} needs {extra}: pip install 'cdmtrain[{extra}]'"
    if isinstance(cause, OSError) and cause.errno in FILE_SYSTEM:
        return f"{cause.filename}: {cause.strerror} {DETAILS}" if cause.filename else f"{cause.strerror} {DETAILS}"
    if isinstance(cause, HydraException) or (key and isinstance(cause, BAD_VALUE)):
        return f"{key}: {message} {DETAILS}"
    return None


def _node(exception: BaseException) -> str:
    """The configuration's node that was being built: as Hydra says, or as its partial object remembers; or nothing."""
    if said := re.search(r"^full_key: (.+)$", str(exception), re.MULTILINE):
        return said[1]
    for frame, _ in traceback.walk_tb(exception.__traceback__):
        target = frame.f_locals.get("self")
        if type(target).__name__ == "_DeferredTarget":
            return str(vars(target)["_hydra_full_key"])
    return ""


def _accelerator(message: str) -> str | None:
    """The sentence where Lightning finds no such device."""
    found = re.search(r"No supported (\w+) backend found|`(\w+)Accelerator` can not run", message)
    if not found:
        return None
    name = (found[1] or found[2]).lower()
    kind = "GPU (CUDA or MPS)" if name == "gpu" else f"{name.upper()} device"
    return f"trainer.accelerator={name}: no {kind} is found on this machine; use trainer.accelerator=cpu or auto"


def _extra(text: str) -> str | None:
    """The optional dependency of this package that a message speaks of."""
    from importlib.metadata import metadata

    extras = metadata("cdmtrain").get_all("Provides-Extra") or []
    return next((extra for extra in extras if re.search(rf"\b{extra}\b", text)), None)


def _choice(key: str, extra: str) -> str:
    """The option whose node could not be built, as it was typed."""
    return key.replace(".", "=", 1) if key else extra
