"""Programs as people write them for PyTorch: `tests/test_programs.py` runs each with both packages."""
