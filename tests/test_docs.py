"""Every command that the README and the pages of docs/ show is one that composes."""

import re
import shlex
from pathlib import Path

import pytest
from hydra import compose, initialize_config_module

import cdmtrain.cli  # registers the resolver that the configuration uses

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def commands() -> list[tuple[str, str]]:
    """Every line of a bash block that begins with cdmtrain, with the page it stands on."""
    found = []
    for page in PAGES:
        for block in re.findall(r"```bash\n(.*?)```", page.read_text("utf-8"), re.DOTALL):
            found += [(page.name, line) for line in block.splitlines() if line.startswith("cdmtrain")]
    return found


def one_job(words: list[str]) -> list[str]:
    """The overrides of the first job of a sweep; those of a single run as they are."""
    if "-m" not in words:
        return words
    return [re.sub(r"=([^\[,]+),.*", r"=\1", word) for word in words if word != "-m"]


@pytest.mark.parametrize(("page", "command"), commands())
def test_a_documented_command_composes(page: str, command: str) -> None:
    assert cdmtrain.cli.main
    words = [word for word in shlex.split(command, comments=True)[1:] if not word.startswith("--")]
    with initialize_config_module("cdmtrain.conf", version_base="1.3"):
        compose("config", overrides=one_job(words))


def test_the_pages_show_commands() -> None:
    assert len(commands()) > 20
