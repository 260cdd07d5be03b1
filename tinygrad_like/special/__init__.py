"""Special functions, spelt like ``torch.special``.

Those that NumPy has no function for are SciPy's, which is imported when one is first called
(``pip install 'tinygrad-like[special]'``). Their gradients are PyTorch's, to any order.

>>> import tinygrad_like as torch
>>> torch.special.entr(torch.tensor([0.0, 0.5, 0.25]))
tensor([0.0000, 0.3466, 0.3466])
"""

from typing import Any

from tinygrad_like.keywords import install as _install
from tinygrad_like.ops.elementwise import xlogy
from tinygrad_like.ops.norms import logsumexp
from tinygrad_like.ops.softmax import log_softmax as _log_softmax
from tinygrad_like.ops.softmax import softmax as _softmax
from tinygrad_like.ops.special import erf, erfc, erfinv
from tinygrad_like.ops.unary import exp2, expm1, log1p, logit, round, sinc
from tinygrad_like.ops.unary import sigmoid as expit
from tinygrad_like.special.bessel import *
from tinygrad_like.special.gamma import *
from tinygrad_like.special.normal import *
from tinygrad_like.special.polynomials import *


def softmax(input: Any, dim: int, *, dtype: Any = None) -> Any:
    """Return the exponentials along `dim`, divided by their sum: see `tinygrad_like.softmax`."""
    return _softmax(input, dim, dtype=dtype)


def log_softmax(input: Any, dim: int, *, dtype: Any = None) -> Any:
    """Return the logarithm of `softmax`: see `tinygrad_like.log_softmax`."""
    return _log_softmax(input, dim, dtype=dtype)


_install("special", globals())
