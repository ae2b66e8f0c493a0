"""The lines of the user in a traceback."""

from cdmtrain.config.own_code import own_lines


def test_an_exception_that_is_the_cause_of_its_own_cause_is_read_once() -> None:
    one, other = ValueError("one"), TypeError("other")
    one.__cause__, other.__cause__ = other, one
    assert own_lines(one) == ""
