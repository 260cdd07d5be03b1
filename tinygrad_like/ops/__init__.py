"""The ops, forward and gradient rules side by side, one module per kind."""
