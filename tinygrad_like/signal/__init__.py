"""What ``torch.signal`` has: the windows."""

from tinygrad_like.signal import windows as windows
