from collections.abc import Callable

import pytest
from omegaconf import DictConfig

from cdmtrain.config.check import check, expected
from cdmtrain.errors import InputError


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("optimizer.lr=fast", "optimizer.lr=fast: a number is expected (default 0.001)"),
        ("data.batch_size=ten", "data.batch_size=ten: a whole number is expected (default 100)"),
        ("trainer.max_epochs=3.5", "trainer.max_epochs=3.5: a whole number is expected (default 10)"),
        ("seed=x", "seed=x: a whole number is expected (default 1)"),
        ("seed=true", "seed=true: a whole number is expected (default 1)"),
        ("print_config=maybe", "print_config=maybe: changes, true or false is expected"),
        ("model.channels=8", "model.channels=8: a list of whole numbers in brackets is expected (default [2, 4, 8])"),
        ("model.channels=[a]", "model.channels=[a]: a list of whole numbers in brackets is expected"),
        (
            "data.split.train=0.5",
            "data.split.train=0.5: a list of numbers in brackets is expected (default [0.0,",
        ),
        ("data.split=0.5", "data.split=0.5: {key: value} is expected"),
        ("trainer.accelerator=[gpu]", "trainer.accelerator=[gpu]: a word is expected (default auto)"),
    ],
)
def test_a_value_of_the_wrong_type_says_what_is_expected(
    typed: Callable[..., DictConfig], word: str, sentence: str
) -> None:
    with pytest.raises(InputError) as refused:
        check(typed(word))
    assert sentence in str(refused.value)


def test_values_of_the_right_type_pass(typed: Callable[..., DictConfig]) -> None:
    words = """
        optimizer.lr=1 optimizer.weight_decay=3e-4 data.split.train=[0,1] data.train_events=100 seed=${data.batch_size}
        trainer.gradient_clip_val=0.5 trainer.devices=auto trainer.deterministic=warn trainer.precision=16
        run=outputs/train/cnn/x trainer.max_epochs=null +trainer.anything=goes ~print_config
    """
    check(typed(*words.split()))


def test_the_default_is_that_of_the_option_chosen(typed: Callable[..., DictConfig]) -> None:
    with pytest.raises(InputError, match=r"default 0\.01\)"):
        check(typed("optimizer=sgd", "optimizer.lr=fast"))


def test_a_value_that_must_be_typed_is_asked_for(typed: Callable[..., DictConfig]) -> None:
    with pytest.raises(InputError, match=r"data\.files is missing; type for example: cdmtrain data=hdf5"):
        check(typed("data=hdf5"))


def test_a_default_of_null_takes_anything() -> None:
    assert all(expected(value, None) is None for value in (1, "x", [1], {"a": 1}, True))


def test_a_setting_that_nothing_reads_is_refused(typed: Callable[..., DictConfig]) -> None:
    with pytest.raises(InputError, match=r"^\+ckpt_path=x: cdmtrain has no setting of this name"):
        check(typed("+ckpt_path=x"))
    check(typed("+trainer.val_check_interval=5"))
