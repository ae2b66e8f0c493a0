"""The composed configuration as a tree on the terminal."""

from collections.abc import Mapping

from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.syntax import Syntax
from rich.tree import Tree

HIDDEN = ("print_config", "sweep", "launch", "run")


def show_config(cfg: DictConfig, choices: Mapping[str, str | None]) -> None:
    """Print every group with the option that was chosen and its values, in the order of the flow."""
    tree = Tree("[bold]configuration")
    for name, content in ((str(name), content) for name, content in cfg.items()):
        if name in HIDDEN or content is None or content == {}:
            continue
        if isinstance(content, DictConfig):
            chosen = choices.get(name)
            branch = tree.add(f"[bold cyan]{name}[/]" + (f" = [bold]{chosen}[/]" if chosen else ""))
            text = OmegaConf.to_yaml(content, resolve=True).rstrip()
            branch.add(Syntax(text, "yaml", background_color="default", word_wrap=True))
        else:
            tree.add(f"[bold cyan]{name}[/] {content}")
    Console().print(tree)
