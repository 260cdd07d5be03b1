"""Calls that must be refused, by family; `tests/test_wrong_calls.py` is the machinery that runs them."""
