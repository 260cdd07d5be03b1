"""Look 4,096 rows up in a table of 20,000 x 64, and the table's gradient."""

from typing import Any

import numpy as np

from benchmarks.workloads import Work

ROWS, WIDTH, COUNT = 20_000, 64, 4096


def make(torch: Any, fast: dict[str, Any]) -> Work:
    del fast
    rng = np.random.default_rng(0)
    table = torch.tensor(rng.normal(size=(ROWS, WIDTH)).astype(np.float32)).requires_grad_()
    g = torch.tensor(rng.normal(size=(COUNT, WIDTH)).astype(np.float32))
    ids = torch.tensor(rng.integers(0, ROWS, COUNT))
    embedding = torch.nn.functional.embedding

    def step() -> Any:
        table.grad = None
        embedding(ids, table).backward(g)
        return table.grad

    # Fill the gradient with zeros; read and write rows forward, read two and write one backward.
    return Work(step, [table, g, ids], bytes=4 * WIDTH * (ROWS + 5 * COUNT))
