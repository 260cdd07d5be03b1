"""Well-known data sets, read from files in a folder that you name: nothing is downloaded."""

from __future__ import annotations

import gzip
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_like.graph import result_type
from tinygrad_like.utils.data.dataset import Dataset

__all__ = ["CIFAR10", "CIFAR100", "MNIST", "FashionMNIST", "read_idx"]

_IDX_TYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


def _open(path: Path) -> Any:
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")


def read_idx(path: Any) -> np.ndarray[Any, Any]:
    """Return the array in a file of the IDX format, which may be compressed (``.gz``).

    The format is that of MNIST (http://yann.lecun.com/exdb/mnist): two zeros, a type, the number of
    dimensions, their sizes as 32-bit numbers with the first byte highest, and the elements so.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not of that format, or has not as many elements as it says.
    """
    path = Path(path)
    with _open(path) as file:
        try:
            head = file.read(4)
            if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in _IDX_TYPES:
                raise ValueError(f"{path}: not an IDX file: it begins with {head!r}")
            dtype = np.dtype(_IDX_TYPES[head[2]])
            sizes = file.read(4 * head[3])
            shape = tuple(int(n) for n in np.frombuffer(sizes[: len(sizes) // 4 * 4], ">i4"))
            if len(shape) < head[3] or any(n < 0 for n in shape):
                raise ValueError(f"{path}: an IDX file of {head[3]} dimensions, got sizes {shape}")
            wanted = math.prod(shape) * dtype.itemsize
            data = file.read(wanted + 1)
        except (EOFError, gzip.BadGzipFile, gzip.zlib.error) as error:  # type: ignore[attr-defined]
            raise ValueError(f"{path}: the compressed file is damaged: {error}") from None
    if len(data) != wanted:
        more = "more" if len(data) > wanted else f"{len(data)}"
        raise ValueError(f"{path}: shape {shape} takes {wanted} bytes of elements, got {more}")
    array = np.frombuffer(data, dtype).reshape(shape)
    return array.astype(dtype.newbyteorder("="))


def _find(root: Any, names: list[str], what: str) -> Path:
    """Return the first file that exists of `names`, which may be compressed, in a folder."""
    for name in names:
        for path in (Path(root) / name, Path(root) / f"{name}.gz"):
            if path.exists():
                return path
    raise FileNotFoundError(
        f"{what}: there is no {names[0]} (or {names[0]}.gz) in {Path(root).absolute()}; nothing is "
        "downloaded: name the folder that has the files"
    )


class _Images(Dataset[tuple[Any, int]]):
    """Images and their classes, read at once.

    Attributes:
        data: the images, uint8 (N, C, H, W).
        targets: the number of each image's class, int64 (N,).
        classes: the names of the classes.
    """

    classes: tuple[str, ...]

    def __init__(
        self,
        root: Any,
        train: bool = True,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[int], Any] | None = None,
    ) -> None:
        self.root = root
        self.train = train
        self.transform = transform
        self.target_transform = target_transform
        images, labels = self._read()
        if len(images) != len(labels):
            raise ValueError(
                f"{type(self).__name__}: {len(images)} images in {root}, but {len(labels)} labels"
            )
        self.data = result_type.make(images)
        self.targets = result_type.make(labels.astype(np.int64))

    def _read(self) -> tuple[Any, Any]:
        raise NotImplementedError

    def __getitem__(self, index: Any) -> tuple[Any, Any]:
        image: Any = self.data[index].float() / 255
        label: Any = int(self.targets.array[index])
        if self.transform is not None:
            image = self.transform(image)
        if self.target_transform is not None:
            label = self.target_transform(label)
        return image, label

    def __len__(self) -> int:
        return len(self.targets.array)


class MNIST(_Images):
    """Handwritten digits: item i is an image (1, 28, 28) of float32 in [0, 1] and its digit.

    Args:
        root: the folder with ``train-images-idx3-ubyte`` and the other files, compressed or not.
        train: the 60,000 images to train on; else the 10,000 to test with.
        transform: applied to each image.
        target_transform: applied to each label.

    Raises:
        FileNotFoundError: if a file is not there.
        ValueError: if one is damaged.
    """

    classes: tuple[str, ...] = (
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
    )

    def _read(self) -> tuple[Any, Any]:
        part, what = "train" if self.train else "t10k", type(self).__name__

        def read(kind: str, dims: int) -> Any:
            stem = f"{part}-{kind}"
            path = _find(self.root, [f"{stem}-idx{dims}-ubyte", f"{stem}.idx{dims}-ubyte"], what)
            array = read_idx(path)
            if array.ndim != dims or array.dtype != np.uint8:
                raise ValueError(
                    f"{what}: {path} holds {array.dtype} {array.shape}, expected uint8 with {dims} "
                    "dimensions"
                )
            return array

        return read("images", 3)[:, None], read("labels", 1)


class FashionMNIST(MNIST):
    """Pictures of clothes in the format of `MNIST`, which see (https://arxiv.org/abs/1708.07747).

    Debian's package ``dataset-fashion-mnist`` puts the files into
    ``/usr/share/datasets/fashion-mnist``.
    """

    classes = (
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    )


class CIFAR10(_Images):
    """Small photographs in colour: item i is an image (3, 32, 32) of float32 in [0, 1] and its class.

    Args:
        root: the folder with ``data_batch_1.bin`` and the other files of the binary version.
        train: the 50,000 images to train on; else the 10,000 to test with.
        transform: applied to each image.
        target_transform: applied to each label.

    Raises:
        FileNotFoundError: if a file is not there.
        ValueError: if one is damaged.
    """

    classes: tuple[str, ...] = (
        *("airplane", "automobile", "bird", "cat", "deer"),
        *("dog", "frog", "horse", "ship", "truck"),
    )
    _train = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
    _test = ("test_batch.bin",)
    _labels = 1  # bytes before each image, of which the last is taken

    def _read(self) -> tuple[Any, Any]:
        what, size = type(self).__name__, self._labels + 3 * 32 * 32
        parts = []
        for name in self._train if self.train else self._test:
            path = _find(self.root, [name], what)
            with _open(path) as file:
                data = np.frombuffer(file.read(), np.uint8)
            if len(data) % size or not len(data):
                raise ValueError(
                    f"{what}: {path} has {len(data)} bytes, expected a multiple of {size} for each image"
                )
            parts.append(data.reshape(-1, size))
        rows = np.concatenate(parts)
        labels = rows[:, self._labels - 1]
        if int(labels.max()) >= len(self.classes):
            raise ValueError(
                f"{what}: {self.root} has label {int(labels.max())}, expected 0 to "
                f"{len(self.classes) - 1}"
            )
        return rows[:, self._labels :].reshape(-1, 3, 32, 32).copy(), labels


class CIFAR100(CIFAR10):
    """Small photographs of 100 classes, from ``train.bin`` and ``test.bin``; see `CIFAR10`.

    The names of the classes come from ``fine_label_names.txt`` if it is there.
    """

    classes = tuple(str(i) for i in range(100))
    _train = ("train.bin",)
    _test = ("test.bin",)
    _labels = 2

    def _read(self) -> tuple[Any, Any]:
        names = Path(self.root) / "fine_label_names.txt"
        if names.exists():
            self.classes = tuple(names.read_text(encoding="utf-8").split())
        return super()._read()
