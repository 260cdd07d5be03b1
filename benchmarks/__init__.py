"""Speed and memory beside PyTorch: run ``python -m benchmarks``."""
