"""Options and modules are found in directories of the user and in installed extensions."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra import compose, initialize_config_module

import cdmtrain.cli  # noqa: F401  registers the resolvers that config.yaml uses
from cdmtrain.config import search_path
from cdmtrain.config.roots import CONF, extensions, named_dirs, roots, user_dirs, user_modules, using
from cdmtrain.errors import InputError
from cdmtrain.runs.trust import trusted


@pytest.fixture(autouse=True)
def path(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    extensions.cache_clear()
    yield
    monkeypatch.undo()
    extensions.cache_clear()


@pytest.fixture
def my(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory my/ of the user, in the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my/model").mkdir(parents=True)
    (tmp_path / "my/model/mynet.yaml").write_text("_target_: mynet.MyNet\n")
    (tmp_path / "my/mynet.py").write_text("class MyNet: ...\n")
    (tmp_path / "my/notes").mkdir()
    (tmp_path / "my/parts").mkdir()
    (tmp_path / "my/parts/__init__.py").touch()
    return tmp_path / "my"


@pytest.mark.parametrize(
    "words",
    [
        ["--config-dir=my", "seed=2"],
        ["--config-dir", "my"],
        ["model=mynet", "-cd", "my", "-m"],
        ["hydra.searchpath=[file://my]"],
        ["hydra.searchpath=['file://my']"],
    ],
)
def test_a_command_names_a_directory_as(my: Path, words: list[str]) -> None:
    assert named_dirs(words) == [my]


@pytest.mark.parametrize(
    "words", [["seed=2"], ["--config-dir"], ["hydra.searchpath=[pkg://no.such]"], ["--cfg", "job"]]
)
def test_other_words_name_no_directory(words: list[str]) -> None:
    assert named_dirs(words) == []


def test_packaged_options_come_first_and_a_directory_is_used_while_its_command_runs(my: Path) -> None:
    with using(["--config-dir=my"]):
        assert roots() == [CONF, my]
    assert user_dirs() == []


def test_the_users_modules_come_after_pythons_and_before_installed_ones(my: Path) -> None:
    (my / "numpy.py").touch()
    (my / "json.py").touch()
    with using(["--config-dir=my"]):
        importlib.invalidate_caches()
        find = importlib.machinery.PathFinder.find_spec
        assert sys.path.index(str(my)) < next(n for n, entry in enumerate(sys.path) if entry.endswith("site-packages"))
    assert str(find("mynet").origin) == str(my / "mynet.py")
    assert str(my) not in str(find("json").origin)


def test_the_modules_and_packages_of_a_named_directory_are_trusted(my: Path) -> None:
    with using(["--config-dir=my"]):
        assert user_modules() == {"mynet", "parts"}
        assert {"mynet", "parts", "other"} <= set(trusted("other"))
    assert trusted() == ()


def test_a_directory_that_does_not_exist_is_refused(my: Path) -> None:
    with pytest.raises(InputError, match=r"--config-dir=.*/mine: there is no such directory"), using(["-cd", "mine"]):
        pass


def test_an_option_with_the_name_of_a_packaged_one_is_refused(my: Path) -> None:
    (my / "model/cnn.yaml").touch()
    with (
        pytest.raises(InputError, match=r"my/model/cnn.yaml has the name of an option of cdmtrain, model=cnn"),
        using(["--config-dir=my"]),
    ):
        pass


def test_an_installed_extension_brings_options_without_being_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "theirs/conf/model").mkdir(parents=True)
    (tmp_path / "theirs/__init__.py").write_text("raise RuntimeError")
    (tmp_path / "theirs/conf/model/theirnet.yaml").write_text("_target_: theirs.Net\n")
    (tmp_path / "theirs-1.dist-info").mkdir()
    (tmp_path / "theirs-1.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1\n")
    (tmp_path / "theirs-1.dist-info/entry_points.txt").write_text("[cdmtrain]\ntheirs = theirs.conf\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert extensions() == {"theirs": tmp_path / "theirs/conf"}
    assert trusted() == ("theirs",)
    search_path.register()
    with initialize_config_module("cdmtrain.conf", version_base="1.3"):
        assert compose("config", ["model=theirnet"]).model == {"_target_": "theirs.Net"}


def test_an_extension_without_its_directory_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "broken-1.dist-info").mkdir()
    (tmp_path / "broken-1.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1\n")
    (tmp_path / "broken-1.dist-info/entry_points.txt").write_text("[cdmtrain]\nbroken = broken.conf\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert extensions() == {}
    assert "the package broken names broken.conf as its options, which is no directory" in caplog.text
