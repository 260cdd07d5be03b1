"""The op table: one row per op, one module per module of ``tinygrad_like.ops``."""
