"""The compressed stream of sparse words is that of the dense bytes: zlib gives them back and accepts the checksum."""

import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdmtrain.data.deflate import LONGEST, compress_words


def dense(word: np.ndarray, position: np.ndarray, num_words: int) -> bytes:
    words = np.zeros(num_words, "<u4")
    words[position] = word
    return words.tobytes()


def check(word: list[int], position: list[int], num_words: int) -> bytes:
    words, places = np.array(word, np.uint32), np.array(position, np.int64)
    found = compress_words(words, places, num_words)
    assert zlib.decompress(found) == dense(words, places, num_words)
    return found


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_zlib_gives_the_dense_bytes_back(data: st.DataObject) -> None:
    num_words = data.draw(st.integers(1, 5000))
    position = sorted(data.draw(st.sets(st.integers(0, num_words - 1), max_size=60)))
    word = [data.draw(st.integers(0, 2**32 - 1)) for _ in position]
    check(word, position, num_words)


@pytest.mark.parametrize("num_words", [1, 2, 64, 65, 66, 8 * 192 * 192])
def test_nothing_lit_and_everything_lit(num_words: int) -> None:
    check([], [], num_words)
    some = np.random.default_rng(num_words).integers(0, 2**32, num_words, np.uint32)
    check(some.tolist(), list(range(num_words)), num_words)


def test_every_length_of_a_run() -> None:
    for zeros in range(2 * LONGEST // 4 + 4):
        check([0xFFFFFFFF, 1], [0, zeros + 1], zeros + 2)


def test_an_image_takes_a_hundredth_of_its_dense_size() -> None:
    position = np.sort(np.random.default_rng(0).choice(192 * 192, 100, replace=False))
    found = check([0x3F8CCCCD] * 100, position.tolist(), 192 * 192)
    assert len(found) < 4 * 192 * 192 / 75


@pytest.mark.parametrize("position", [[-1], [4], [2, 1], [1, 1]])
def test_positions_that_are_not_among_the_words_are_refused(position: list[int]) -> None:
    with pytest.raises(IndexError):
        compress_words(np.ones(len(position), np.uint32), np.array(position), 4)
