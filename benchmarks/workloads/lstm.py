"""An LSTM of 128 units on 50 steps of 32 sequences of 128 features, SGD."""

from typing import Any

import numpy as np

from benchmarks.workloads import Work
from benchmarks.workloads.training import training

STEPS, BATCH, WIDTH = 50, 32, 128


def make(torch: Any, fast: dict[str, Any]) -> Work:
    nn = torch.nn
    torch.manual_seed(0)

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(WIDTH, WIDTH)

        def forward(self, x: Any) -> Any:
            return self.lstm(x)[0]

    model = Model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, **fast)
    rng = np.random.default_rng(0)
    x, y = (torch.tensor(rng.normal(size=(STEPS, BATCH, WIDTH)).astype(np.float32)) for _ in "xy")
    flops = 2 * STEPS * BATCH * (2 + 3) * WIDTH * 4 * WIDTH  # the input needs no gradient
    return training(model, nn.MSELoss(), optimizer, x, y, flops)
