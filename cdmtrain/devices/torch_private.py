"""The one private interface of torch that this program uses; where a version of torch lacks it the program works too.

`torch.fx.experimental._config.backed_size_oblivious` lets an exported network take a single event. Without it an
exported network takes two or more. There is no public setting.
"""

from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from typing import Any


def any_number_of_events() -> AbstractContextManager[Any]:
    """While it lasts, torch.export does not treat a dimension of size 1 as a constant."""
    try:
        config = import_module("torch.fx.experimental._config")
        return config.patch(backed_size_oblivious=True)
    except (ImportError, AttributeError):
        return nullcontext()
