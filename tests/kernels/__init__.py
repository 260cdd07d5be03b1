"""Sample arguments of every kernel; `tests/test_jit.py` runs each beside its NumPy version."""
