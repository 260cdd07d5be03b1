"""What PyTorch programs ask about libraries below, and set there: none of these is used here."""

from tinygrad_like.backends import cuda, cudnn, mps

__all__ = ["cuda", "cudnn", "mps"]
