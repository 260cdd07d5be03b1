"""Optimizers, and schedules of their learning rates.

What not every program uses is imported when it is first asked for.
"""

from typing import TYPE_CHECKING
from typing import Any as _Any

from tinygrad_like.nn.optim.adam import Adam, AdamW
from tinygrad_like.nn.optim.optimizer import Optimizer
from tinygrad_like.nn.optim.sgd import SGD

if TYPE_CHECKING:
    from tinygrad_like.nn.optim import lr_scheduler, swa_utils
    from tinygrad_like.nn.optim.adadelta import Adadelta
    from tinygrad_like.nn.optim.adagrad import Adagrad
    from tinygrad_like.nn.optim.adamax import Adamax
    from tinygrad_like.nn.optim.asgd import ASGD
    from tinygrad_like.nn.optim.lbfgs import LBFGS
    from tinygrad_like.nn.optim.matrices import Adafactor, Muon
    from tinygrad_like.nn.optim.nadam import NAdam
    from tinygrad_like.nn.optim.radam import RAdam
    from tinygrad_like.nn.optim.rmsprop import RMSprop
    from tinygrad_like.nn.optim.rprop import Rprop

__all__ = [
    "ASGD",
    "LBFGS",
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Muon",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Rprop",
    "lr_scheduler",
    "swa_utils",
]


if not TYPE_CHECKING:  # or any name would pass for one of this module

    def __getattr__(name: str) -> _Any:
        """Import what is called `name` from its module."""
        from importlib import import_module

        if name not in __all__:
            raise AttributeError(f"module 'tinygrad_like.optim' has no attribute {name!r}")
        home = "matrices" if name in ("Adafactor", "Muon") else name.lower()
        module = import_module(f"tinygrad_like.nn.optim.{home}")
        found = globals()[name] = getattr(module, name, module)
        return found


def __dir__() -> list[str]:
    """Return all names, those not imported yet too."""
    return __all__
