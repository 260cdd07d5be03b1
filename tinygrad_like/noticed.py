"""What the engine notes in passing for those who look for mistakes in a program (`debug`)."""

from __future__ import annotations

import weakref
from typing import Any

# All optimizers there are; without one, steps are taken by hand (`debug.by_hand`).
optimizers: weakref.WeakSet[Any] = weakref.WeakSet()

# Shapes of leaves that were gone when the last backward had gradients for them (`debug.losses`).
lost: set[Any] = set()

# What each backward is shown to: weak references, there for a few steps only (`debug.steps`).
looks: list[weakref.ref[Any]] = []
