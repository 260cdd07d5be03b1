"""Linear algebra, spelt like ``torch.linalg``: decompositions, equations, norms.

All of it works on batches: the last two dimensions are the matrices'. Elements are float32 or
float64. Complex numbers are not supported, so of eigenvalues only those of symmetric matrices.
"""

from tinygrad_like.keywords import install as _install
from tinygrad_like.linalg.decompositions import *
from tinygrad_like.linalg.norms import *
from tinygrad_like.linalg.products import *
from tinygrad_like.linalg.solving import *

_install("linalg", globals())
