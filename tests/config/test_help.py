import re
from pathlib import Path

import pytest
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

import cdmtrain.cli  # noqa: F401  registers the resolver that config.yaml uses
from cdmtrain.config.help import EXAMPLES, KEYS, option_page, show
from cdmtrain.config.roots import using
from cdmtrain.config.sources import CONF, Option, default_options, groups, read_option, read_yaml


def test_help_lists_every_option_of_every_group(capsys: pytest.CaptureFixture[str]) -> None:
    show([])
    page = re.sub(r"\s+", " ", capsys.readouterr().out)
    for group, options in groups().items():
        names = [option.name + "*" * (default_options().get(group) == option.name) for option in options]
        assert f" {group} {' '.join(names)} " in page


def test_help_fits_eighty_columns_and_is_plain_where_no_terminal_is(capsys: pytest.CaptureFixture[str]) -> None:
    show([])
    page = capsys.readouterr().out
    assert max(map(len, page.splitlines())) <= 80
    assert "\033" not in page


def test_groups_come_in_the_order_of_the_flow_with_nested_ones_after_their_parent() -> None:
    found = list(groups())
    assert found[0] == "task"
    assert found.index("data/split") == found.index("data") + 1
    assert found.index("representation") < found.index("model") < found.index("optimizer") < found.index("trainer")


def test_the_default_of_a_nested_group_is_that_of_its_parents_default() -> None:
    assert default_options()["data/split"] == "fractions"


def test_a_new_yaml_file_appears_by_being_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "bar.yaml").write_text("_target_: mine.Bar\n")
    (tmp_path / "model" / "foo.yaml").write_text("# @package _global_\n# cdmtrain model=foo x=[1,2]: a new one\n")
    with using([f"--config-dir={tmp_path}"]):
        found = {option.name: (option.command, option.phrase) for option in groups()["model"]}
        show(["--help", "model"])
    assert found["foo"] == ("model=foo x=[1,2]", "a new one")
    assert found["bar"] == ("model=bar", "")
    assert "cdmtrain model=bar" in capsys.readouterr().out


@pytest.mark.parametrize("file", sorted(CONF.glob("*/**/*.yaml")), ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_the_first_comment_of_a_yaml_file_is_the_command_that_uses_it(file: Path) -> None:
    group = file.parent.relative_to(CONF).as_posix()
    command = read_option(file, group).command
    assert re.search(rf"\b{group}=\[?([a-z_]+,)*{file.stem}\b", command) or f"{group}." in command


def test_help_of_a_group_shows_each_option_with_its_phrase(capsys: pytest.CaptureFixture[str]) -> None:
    show(["model=?"])
    page = capsys.readouterr().out
    assert "# cnn (the default): convolution, ReLU and pooling" in page
    assert "cdmtrain model=gnn model.convolution=sage" in page


def test_help_of_an_option_shows_its_keys_with_values_and_comments(capsys: pytest.CaptureFixture[str]) -> None:
    show(["--help", "model=cnn", "trainer=gpu"])
    lines = capsys.readouterr().out.splitlines()
    assert "  cdmtrain model=cnn model.channels=[4,8,16]" in lines
    assert "Keys, as model.<key>" in lines
    assert "  channels: [2, 4, 8]    # output channels of each convolution" in lines
    assert [line[:14] for line in lines if "accelerator:" in line] == ["  accelerator:"]
    assert any(line.startswith("  max_epochs: 10") for line in lines)  # which trainer=gpu takes from trainer=default
    assert not any(word in line for line in lines for word in ("defaults:", "_target_", "override /"))


@pytest.mark.parametrize(("group", "option"), [(group, one) for group, found in groups().items() for one in found])
def test_help_of_every_option_holds_every_key_of_its_file(group: str, option: Option) -> None:
    shown = "\n".join(option_page(group, option))
    for key in read_yaml(CONF / group / f"{option.name}.yaml"):
        assert key.startswith("_") or key in ("defaults", "@package") or f"  {key}:" in shown


def test_the_six_examples_compose_and_the_keys_exist() -> None:
    assert len(EXAMPLES) == 6
    with initialize_config_module("cdmtrain.conf", version_base="1.3"):
        for example in EXAMPLES:
            words = [word for word in example.split()[1:] if word != "-m"]
            compose("config", [word if "[" in word else word.split(",")[0] for word in words])
        cfg = compose("config", ["data=hdf5"])
        for key in KEYS:
            assert OmegaConf.is_missing(cfg.data, "files") if key == "data.files" else key_exists(cfg, key), key


def key_exists(cfg: object, key: str) -> bool:
    parent, _, name = key.rpartition(".")
    return name in (OmegaConf.select(cfg, parent) if parent else cfg)
