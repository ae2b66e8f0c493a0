"""The composed configuration as a tree on the terminal."""

from collections.abc import Mapping

from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.syntax import Syntax
from rich.text import Text
from rich.tree import Tree

from cdmtrain.terminal import printable

HIDDEN = ("print_config", "sweep", "launch", "run")


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
