"""Values and gradients of a page, for every op of the table: those of the engine, to the last bit."""

import json
import zlib

import numpy as np
import pytest

import tinygrad_like as torch
from tests.rows import collect
from tests.rows.base import Bools, Ints, Real
from tinygrad_like.autograd import grad
from tinygrad_like.graph import AccumulateGrad, result_type
from tinygrad_like.viz.picture import Names
from tinygrad_like.viz.story import Witness
from tinygrad_like.viz.webpage import Tale

ROWS = [(name, row) for name, row in collect() if row.order]


@pytest.mark.parametrize("row", [row for _, row in ROWS], ids=[name for name, _ in ROWS])
def test_a_page_tells_what_the_engine_does(row):
    name = zlib.crc32(f"{row.op}:{row.name}".encode())
    rng = np.random.default_rng(name)
    operands, leaves = [], []
    for spec in row.samples[0]:
        if isinstance(spec, Real | Ints | Bools):
            tensor = result_type.make(spec.draw(rng, "float32", None))
            operands.append(tensor)
            if isinstance(spec, Real) and spec.grad:
                leaves.append(tensor.requires_grad_())
        else:
            operands.append(spec)
    torch.manual_seed(0)
    with Witness() as seen:
        results = row.call(torch, *operands)
    results = list(results) if isinstance(results, tuple | list) else [results]
    roots = [r for r in results if isinstance(r, torch.Tensor) and r.requires_grad]
    if not roots:
        assert not leaves
        return
    watched, unwatched = Tale(roots, Names(), [], seen), Tale(roots, Names(), [])
    for tale in (watched, unwatched):
        json.dumps(tale.told()(32), allow_nan=False)

    starts = [torch.ones_like(root) for root in roots]
    gradients = grad(roots, leaves, starts, retain_graph=True, allow_unused=True)
    for leaf, expected in zip(leaves, gradients, strict=True):
        found = watched.story.gradients.get((leaf.node, 0))
        assert (found is None) == (expected is None)
        assert found is None or np.array_equal(found, expected.numpy(), equal_nan=True)

    # What a page computes again is what was seen when it was computed.
    for (node, index), value in watched.values.items():
        again = unwatched.values.get((node, index))
        if again is not None and not isinstance(node, AccumulateGrad):
            assert np.array_equal(again, value, equal_nan=value.dtype.kind == "f")
            assert again.dtype == value.dtype
    for node in watched.nodes:
        if not isinstance(node.shape, list):
            assert (node, 0) in watched.values
