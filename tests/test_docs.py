"""What README.md and the pages of docs/ show works: commands, links, Python, and the tree of the program."""

import ast
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hydra import compose, initialize_config_module

import cdmtrain
from cdmtrain.batch import Image
from cdmtrain.config.deletions import with_deletable_nulls
from cdmtrain.config.words import with_keys_of_classes
from tests.your_model import write_files

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXTS = [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def fences(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text("utf-8"), re.DOTALL)


def overrides(command: str) -> list[str]:
    """The overrides of a command, without options such as --help; of a sweep those of its first job."""
    words = [word for word in shlex.split(command, comments=True)[1:] if not word.startswith("--")]
    if "-m" not in words:
        return words
    return [re.sub(r"=([^\[,]+|\[[^\]]*\]),.*", r"=\1", word) for word in words if word != "-m"]


COMMANDS = {
    (page.name, tuple(overrides(line)))
    for page in PAGES
    for fence in fences(page, "bash")
    for line in fence.splitlines()
    if line.startswith("cdmtrain")
}


def test_every_page_shows_a_command() -> None:
    assert {page.name for page in PAGES} == {page for page, _ in COMMANDS}


@pytest.mark.parametrize("words", sorted({words for _, words in COMMANDS}), ids=" ".join)
def test_a_command_of_the_pages_composes(words: tuple[str, ...], tmp_path: Path) -> None:
    own = []
    if any("mynet" in word for word in words):
        write_files(tmp_path)
        own = [f"hydra.searchpath=[file://{tmp_path}/my]"]
    with initialize_config_module("cdmtrain.conf", version_base="1.3"):
        compose("config", overrides=[*own, *with_deletable_nulls(with_keys_of_classes(words))])


@each_page
def test_a_page_begins_with_what_the_reader_can_do(page: Path) -> None:
    title, empty, first = page.read_text("utf-8").splitlines()[:3]
    assert title.startswith("# ")
    assert not empty
    assert first.startswith("After this page you can " if page.name != "README.md" else "`cdmtrain` trains ")


def slugs(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: page.name)
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", page.read_text("utf-8")):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        assert not anchor or anchor in slugs(target), link


@each_page
def test_names_that_the_pages_import_exist(page: Path) -> None:
    nodes = [node for fence in fences(page, "python") for node in ast.walk(ast.parse(fence))]
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module == "cdmtrain":
            assert all(hasattr(cdmtrain, name.name) for name in node.names)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "cdmtrain":
            assert hasattr(cdmtrain, node.attr)


def test_the_model_in_two_files_turns_images_into_logits() -> None:
    page = ROOT / "docs" / "your_model.md"
    module: dict[str, Any] = {"__name__": "mynet"}
    exec(fences(page, "python")[0], module)
    network = module["MyNet"](image_size=16, width=8, num_classes=4)
    assert network(Image(torch.zeros(3, 1, 16, 16))).shape == (3, 4)
    settings = yaml.safe_load(fences(page, "yaml")[0])
    assert settings["_target_"] == "mynet.MyNet"
    assert settings in [yaml.safe_load(fence) for fence in fences(ROOT / "README.md", "yaml")]


def test_the_tree_in_the_readme_is_that_of_the_program() -> None:
    tree = (ROOT / "README.md").read_text("utf-8").partition("\n    cdmtrain/\n")[2].partition("\n    docs/")[0]
    told = {name for line in tree.splitlines() for name in re.findall(r"[\w.]+(?:\.py|/)", line[6:30])}
    package = Path(cdmtrain.__file__).parent
    rooms = {f"{path.name}/" for path in package.iterdir() if any(path.glob("*.py"))}
    modules = {path.name for path in package.glob("*.py")} - {"__init__.py", "__main__.py"}
    assert told == rooms | modules


def test_the_readme_marks_the_commands_that_the_continuous_integration_runs() -> None:
    fence = r"```bash\npython -m pip install [^\n]+ && [^\n]+\n```"
    for marker in ("main", "test"):
        assert re.search(rf"^<!-- {marker} -->\n{fence}$", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE)
