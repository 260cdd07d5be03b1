"""Reverse-mode autograd on NumPy, spelt like PyTorch.

>>> import tinygrad_like as torch
>>> x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
>>> (x * x).sum().backward()
>>> x.grad
tensor([2., 4., 6.])
"""

import warnings as _warnings
from typing import TYPE_CHECKING as _CHECKING
from typing import Any as _Any

from tinygrad_like import autograd, cuda, jit, nn, optim, return_types, utils
from tinygrad_like.autograd.grad_mode import (
    enable_grad,
    inference_mode,
    no_grad,
    set_grad_enabled,
)
from tinygrad_like.deferred import FUNCTIONS as _DEFERRED
from tinygrad_like.deferred import public as _public
from tinygrad_like.device import Device as device
from tinygrad_like.dtypes import (
    bool_ as bool,
)
from tinygrad_like.dtypes import (
    can_cast,
    dtype,
    finfo,
    float16,
    float32,
    float64,
    get_default_dtype,
    iinfo,
    int8,
    int16,
    int32,
    int64,
    promote_types,
    set_default_dtype,
    uint8,
)
from tinygrad_like.dtypes import (
    float16 as half,
)
from tinygrad_like.dtypes import (
    float32 as float,
)
from tinygrad_like.dtypes import (
    float64 as double,
)
from tinygrad_like.dtypes import (
    int16 as short,
)
from tinygrad_like.dtypes import (
    int32 as int,
)
from tinygrad_like.dtypes import (
    int64 as long,
)
from tinygrad_like.functions import *
from tinygrad_like.keywords import install as _install
from tinygrad_like.legacy import *
from tinygrad_like.memory import keep_freed as _keep_freed
from tinygrad_like.modes import is_grad_enabled, is_inference_mode_enabled
from tinygrad_like.ops import numpy_functions as _numpy_functions
from tinygrad_like.ops.activation import *
from tinygrad_like.ops.arithmetic import *
from tinygrad_like.ops.arranging import *
from tinygrad_like.ops.channels import *
from tinygrad_like.ops.comparison import *
from tinygrad_like.ops.conversion import *
from tinygrad_like.ops.convolution import *
from tinygrad_like.ops.counting import *
from tinygrad_like.ops.creation import *
from tinygrad_like.ops.creation import tensor as _tensor
from tinygrad_like.ops.ctc import *
from tinygrad_like.ops.diagonals import *
from tinygrad_like.ops.distances import *
from tinygrad_like.ops.einsum import *
from tinygrad_like.ops.elementwise import *
from tinygrad_like.ops.expanding import *
from tinygrad_like.ops.extrema import *
from tinygrad_like.ops.indexing import *
from tinygrad_like.ops.integers import *
from tinygrad_like.ops.joining import *
from tinygrad_like.ops.linalg import *
from tinygrad_like.ops.loss import *
from tinygrad_like.ops.masking import *
from tinygrad_like.ops.matrix_functions import *
from tinygrad_like.ops.normalization import *
from tinygrad_like.ops.norms import *
from tinygrad_like.ops.pooling import *
from tinygrad_like.ops.products import *
from tinygrad_like.ops.questions import *
from tinygrad_like.ops.random import *
from tinygrad_like.ops.ranges import *
from tinygrad_like.ops.rectifiers import *
from tinygrad_like.ops.reducing import *
from tinygrad_like.ops.reduction import *
from tinygrad_like.ops.regions import *
from tinygrad_like.ops.scanning import *
from tinygrad_like.ops.scattering import *
from tinygrad_like.ops.shaping import *
from tinygrad_like.ops.sorting import *
from tinygrad_like.ops.special import *
from tinygrad_like.ops.statistics import *
from tinygrad_like.ops.unary import *
from tinygrad_like.printing import set_printoptions
from tinygrad_like.random import *
from tinygrad_like.size import Size
from tinygrad_like.summary import summary
from tinygrad_like.tensor import Tensor
from tinygrad_like.threads import *
from tinygrad_like.torch_names import *

if _CHECKING:
    from tinygrad_like import (
        accelerator,
        backends,
        debug,
        explanation,
        func,
        linalg,
        serialization,
        signal,
        special,
        testing,
        viz,
    )
    from tinygrad_like.serialization import TypedStorage, UntypedStorage, load, save

__version__ = "0.1.0"


_MODULES: tuple[str, ...] = ("accelerator", "backends", "debug", "explanation", "func", "linalg")
_MODULES += ("serialization", "signal", "special", "testing", "viz")


def __getattr__(name: str) -> _Any:
    # Imported when first asked for.
    if name in _MODULES:
        import importlib

        return importlib.import_module(f"{__name__}.{name}")
    if name in _DEFERRED:
        return _public(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    # Modules that only the package itself imports are not shown.
    shown = (*_MODULES, "autograd", "cuda", "graph", "jit", "nn", "op", "optim", "random", "utils")
    names = {n for n, value in globals().items() if type(value) is not type(_warnings)}
    return sorted({*names, *_DEFERRED, *shown, "return_types"})


_keep_freed()
_install("torch", globals())

# Importing the module `tensor` put it in the place of the function.
tensor = _tensor

# PyTorch says nothing about log(0) or an overflow; what NumPy says of them inside this package is
# silenced here, by module, so that the user's own NumPy code keeps its warnings.
_warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"tinygrad_like\b")
