"""One module per workload: ``make(torch, fast)`` returns a function that does one step.

The same code runs with either package as `torch`; `fast` holds what PyTorch's fastest setting of
the optimizer needs (``{"fused": True}``), and is empty for this package.
"""

NAMES = ("chain_forward", "chain", "moons", "mnist64", "mnist512", "cnn")
