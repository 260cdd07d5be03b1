"""The one device there is."""

from __future__ import annotations

from typing import Any

from tinygrad_like.lines import told


class Device:
    """Where a tensor lives: the CPU.

    >>> import tinygrad_like as torch
    >>> torch.device("cpu")
    device(type='cpu')
    """

    def __init__(self, type: Any = "cpu", index: int | None = None) -> None:
        if isinstance(type, Device):
            type, index = str(type), None
        if not isinstance(type, str):
            raise told(TypeError, f"device(): got {type!r}, expected 'cpu'")
        name, _, number = type.partition(":")
        if name != "cpu":
            raise told(
                RuntimeError,
                f"device: got {type!r}, expected 'cpu': this framework computes with NumPy on the CPU",
            )
        self.type: str = name
        self.index: int | None = int(number) if number else index

    def __repr__(self) -> str:
        index = "" if self.index is None else f", index={self.index}"
        return f"device(type='{self.type}'{index})"

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and self.type == other.type and self.index == other.index

    def __hash__(self) -> int:
        return hash((self.type, self.index))


cpu = Device()


def check_device(device: Any) -> None:
    """Raise unless `device` is None or a way to say the CPU.

    Raises:
        RuntimeError: if it is another device.
    """
    if device is not None and device is not cpu:
        Device(device)


class layout:
    """How a tensor lies in memory: strided, the one layout there is."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self) -> str:
        return self.name


class memory_format(layout):
    """Whether a new tensor keeps the order in memory of the one it is made from."""

    __slots__ = ()


strided = layout("strided")
preserve_format = memory_format("preserve_format")
contiguous_format = memory_format("contiguous_format")


def check_layout(name: str, given: Any) -> None:
    """Raise unless `given` is None or `strided`.

    Raises:
        TypeError: if it is no layout.
    """
    if given is not None and given is not strided:
        raise told(
            TypeError,
            f"{name}(): argument 'layout' must be torch.strided, the only layout there is, not {given!r}",
        )
