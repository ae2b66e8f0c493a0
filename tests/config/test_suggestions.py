from collections.abc import Iterator

import pytest
from hydra import compose, initialize_config_module
from hydra.errors import HydraException, MissingConfigException

import cdmtrain.cli  # noqa: F401  registers the resolver that config.yaml uses
from cdmtrain.config.suggestions import explain_composition, no_value


@pytest.fixture(scope="module", autouse=True)
def hydra() -> Iterator[None]:
    with initialize_config_module("cdmtrain.conf", version_base="1.3"):
        yield


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("modle=cnn", "modle does not exist; did you mean model?"),
        ("seeed=1", "did you mean seed"),
        ("optimizer.lrr=1", "optimizer.lrr does not exist; did you mean optimizer.lr?"),
        ("trainer.max_epoch=3", "did you mean trainer.max_epochs"),
        ("trainr.max_epochs=3", "did you mean trainer.max_epochs?"),
        ("data.split.trian=[0,1]", "did you mean data.split.train?"),
        ("data/spilt=stratified", "did you mean data/split?"),
        ("lr=1", "did you mean optimizer.lr?"),
        ("epochs=5", "did you mean trainer.max_epochs?"),
        ("~optimizer.lrr", "did you mean optimizer.lr?"),
        ("optimizer.learning_rate=1", "; optimizer has betas, eps, "),
        ("a.b=1", "a.b does not exist; cdmtrain --cfg job shows every key"),
        ("model=cnnn", "model=cnnn does not exist; did you mean model=cnn? (options: "),
        ("model=null", "model=null does not exist (options: "),
        ("model=[zzz]", "model=zzz does not exist (options: "),
        ("trainer=9", "trainer=9 does not exist (options: cpu, ddp,"),
        ("experiment=lecture_cn", "did you mean experiment=lecture_cnn"),
        ("data.files=[a.h5]", "data.files belongs to data=hdf5; add data=hdf5"),
        ("reference=a.h5", "reference belongs to task=inspect; add task=inspect"),
        ("data.file=x.h5", "data.file belongs to data=challenge; add data=challenge"),
        ("model.width=8", "; add one of them"),
        ("data.split.seed=3", "data.split.seed belongs to data/split=stratified; add data/split=stratified"),
        ("data.files=[a.h5", "data.files=[a.h5: a bracket is not closed"),
        ("run=a=b", "run=a=b cannot be read; quote a value with special characters: 'run=\"a=b\"'"),
        ("train", "train is not of the form key=value; did you mean task=train?"),
        ("model=cnn,dnn", "model=cnn,dnn is several values; add -m to run each"),
        ("run_dir=a,b", "or brackets to make one list of them: run_dir=[a,b]"),
        ("+seed=3", "seed exists already; write it without +"),
        ("+model=dnn", "model exists already; write it without +"),
    ],
)
def test_a_mistake_in_what_was_typed_names_the_way_out(typed: str, sentence: str) -> None:
    with pytest.raises(Exception) as raised:  # noqa: PT011  Hydra raises many kinds
        compose("config", [typed])
    answer = explain_composition(raised.value, [typed])
    assert answer is not None
    assert sentence in answer
    assert "\n" not in answer


def test_a_value_not_typed_is_asked_for_with_a_command() -> None:
    assert no_value("data.files").endswith("type for example: cdmtrain data=hdf5 data.files=[a.h5,b.h5]")
    assert no_value("output", {"task": "simulate"}).startswith(
        "output is missing; type for example: cdmtrain task=simulate"
    )
    assert no_value("nowhere.key") == "nowhere.key is missing; add nowhere.key=..."


@pytest.mark.parametrize("flags", [["--cfg", "job"], ["-m", "-c", "job"], ["-m", "--cfg=job"]])
def test_the_value_of_a_flag_is_no_override_and_cfg_takes_one_value_of_each_key(flags: list[str]) -> None:
    answer = explain_composition(HydraException("ambiguous"), [*flags, "model=dnn,cnn"])
    assert answer == "model=dnn,cnn is several values, and --cfg shows the configuration of one job; type one of them"


def test_a_launcher_that_is_not_installed_names_its_extra() -> None:
    missing = MissingConfigException("", "hydra/launcher/joblib", ["basic", "slurm"])
    assert explain_composition(missing, []) == "hydra/launcher=joblib needs a package: pip install 'cdmtrain[joblib]'"
