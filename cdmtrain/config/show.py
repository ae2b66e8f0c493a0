"""The composed configuration on the terminal: what differs from the defaults, or all of it as a tree."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from cdmtrain.terminal import printable

HIDDEN = ("print_config", "sweep", "launch", "run")


def show_settings(
    how: object, cfg: DictConfig, choices: Mapping[str, str | None], changed: Mapping[str, Sequence[Any]]
) -> None:
    """Print what `print_config` asks for: every setting, what differs from the defaults, or nothing."""
    if how is True:
        show_config(cfg, choices)
    elif how:
        show_changes(changed)


def show_config(cfg: DictConfig, choices: Mapping[str, str | None]) -> None:
    """Print every group with the option that was chosen and its values, in the order of the flow."""
    tree = Tree(Text("configuration", "bold"))
    for name, content in ((str(name), content) for name, content in cfg.items()):
        if name in HIDDEN or content is None or content == {}:
            continue
        if isinstance(content, DictConfig):
            chosen = choices.get(name)
            option = (" = ", (printable(chosen), "bold")) if chosen else ()
            branch = tree.add(Text.assemble((printable(name), "bold cyan"), *option))
            text = OmegaConf.to_yaml(content, resolve=True).rstrip()
            branch.add(Syntax(printable(text), "yaml", background_color="default", word_wrap=True))
        else:
            tree.add(Text.assemble((printable(name), "bold cyan"), " ", printable(str(content))))
    Console().print(tree)


def show_changes(changed: Mapping[str, Sequence[Any]]) -> None:
    """Print the options and values that differ from the defaults, {group or key: (default, value)}."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for title in ("differs from the defaults", "", "default"):
        table.add_column(title, overflow="fold")
    for key, (default, value) in sorted(changed.items()):
        texts = [text if isinstance(text, str) else json.dumps(text) for text in (key, value, default)]
        table.add_row(*map(Text, texts))
    Console().print(table if changed else "[dim]all settings are the defaults[/]")
    Console().print("[dim]print_config=true shows every setting[/]")
