"""Data sets read from files: the right ones, and those that are damaged."""

import gzip
import struct

import numpy as np
import pytest

import tinygrad_like as torch
from tinygrad_like.utils.data import DataLoader
from tinygrad_like.utils.datasets import CIFAR10, CIFAR100, MNIST, FashionMNIST, read_idx

CODES = {"u1": 8, "i1": 9, ">i2": 11, ">i4": 12, ">f4": 13, ">f8": 14}


def idx(array, code=None):
    """Return the bytes of an IDX file."""
    dtype = array.dtype.newbyteorder(">") if array.dtype.itemsize > 1 else array.dtype
    key = dtype.str.removeprefix("|")
    head = bytes([0, 0, CODES[key] if code is None else code, array.ndim])
    return head + struct.pack(f">{array.ndim}i", *array.shape) + array.astype(dtype).tobytes()


def digits(folder, count=5, dotted=False, packed=True):
    rng = np.random.default_rng(0)
    made = {}
    for part in ("train", "t10k"):
        images = rng.integers(0, 256, (count, 28, 28)).astype("u1")
        labels = rng.integers(0, 10, count).astype("u1")
        made[part] = images, labels
        for kind, array in (("images", images), ("labels", labels)):
            name = f"{part}-{kind}{'.' if dotted else '-'}idx{array.ndim}-ubyte"
            data = idx(array)
            if packed:
                (folder / f"{name}.gz").write_bytes(gzip.compress(data))
            else:
                (folder / name).write_bytes(data)
    return made


@pytest.mark.parametrize("dtype", CODES)
@pytest.mark.parametrize("shape", [(), (3,), (2, 0), (2, 3, 4)])
def test_arrays_of_every_type(tmp_path, dtype, shape):
    array = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    (tmp_path / "a").write_bytes(idx(array))
    (tmp_path / "a.gz").write_bytes(gzip.compress(idx(array)))
    for name in ("a", "a.gz"):
        found = read_idx(tmp_path / name)
        assert found.dtype == np.dtype(dtype).newbyteorder("=")
        assert np.array_equal(found, array)
        assert found.flags.writeable


def test_damaged_files(tmp_path):
    good = idx(np.arange(6, dtype="u1").reshape(2, 3))
    path = tmp_path / "file"
    cases = {
        b"": "not an IDX file",
        b"PNG!": "not an IDX file",
        idx(np.zeros(2, "u1"), code=7): "not an IDX file",
        good[:7]: r"of 2 dimensions, got sizes \(\)",
        good[:-1]: "takes 6 bytes of elements, got 5",
        good + b"!": "takes 6 bytes of elements, got more",
        good[:4] + struct.pack(">ii", -1, 3): "of 2 dimensions, got sizes",
    }
    for data, match in cases.items():
        path.write_bytes(data)
        with pytest.raises(ValueError, match=match):
            read_idx(path)
    packed = gzip.compress(good)
    for data in (b"no", packed[:-9], packed[:12] + b"\xff" + packed[13:]):
        (tmp_path / "file.gz").write_bytes(data)
        with pytest.raises(ValueError, match=r"file\.gz: the compressed file is damaged"):
            read_idx(tmp_path / "file.gz")


@pytest.mark.parametrize("dotted", [True, False])
@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("kind", [MNIST, FashionMNIST])
def test_digits(tmp_path, kind, dotted, packed):
    made = digits(tmp_path, 5, dotted, packed)
    for train, part in ((True, "train"), (False, "t10k")):
        data = kind(tmp_path, train=train)
        images, labels = made[part]
        assert len(data) == 5
        assert len(data.classes) == 10
        assert np.array_equal(data.data.numpy()[:, 0], images)
        image, label = data[2]
        assert image.dtype is torch.float32
        assert image.shape == (1, 28, 28)
        assert label == labels[2]
        assert np.allclose(image.numpy()[0], images[2] / 255)
    changed = kind(tmp_path, transform=lambda x: x.flatten(), target_transform=lambda y: -y)
    x, y = next(iter(DataLoader(changed, batch_size=5)))
    assert x.shape == (5, 784)
    assert y.tolist() == [-n for n in made["train"][1].tolist()]


def test_what_is_missing_or_does_not_fit(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"no train-images-idx3-ubyte .* nothing is downloa"
    ):
        MNIST(tmp_path)
    digits(tmp_path, packed=False)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros(4, "u1")))
    with pytest.raises(ValueError, match=r"5 images in .*, but 4 labels"):
        MNIST(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros((4, 1), "u1")))
    with pytest.raises(ValueError, match=r"holds uint8 \(4, 1\), expected uint8 with 1 dimensions"):
        MNIST(tmp_path)


def colours(path, count, labels, highest):
    rng = np.random.default_rng(count)
    rows = rng.integers(0, 256, (count, labels + 3072)).astype("u1")
    rows[:, :labels] %= highest
    path.write_bytes(rows.tobytes())
    return rows


def test_photographs(tmp_path):
    parts = [colours(tmp_path / f"data_batch_{i}.bin", 2 + i, 1, 10) for i in range(1, 6)]
    test = colours(tmp_path / "test_batch.bin", 3, 1, 10)
    rows = np.concatenate(parts)
    data = CIFAR10(tmp_path)
    assert data.targets.tolist() == rows[:, 0].tolist()
    image, label = data[4]
    assert image.shape == (3, 32, 32)
    assert label == rows[4, 0]
    assert np.allclose(image.numpy().ravel(), rows[4, 1:] / 255)
    assert CIFAR10(tmp_path, train=False).targets.tolist() == test[:, 0].tolist()
    assert data.classes[0] == "airplane"


def test_photographs_of_many_classes(tmp_path):
    rows = colours(tmp_path / "train.bin", 6, 2, 100)
    data = CIFAR100(tmp_path)
    assert data.targets.tolist() == rows[:, 1].tolist()
    assert data.classes[42] == "42"
    (tmp_path / "fine_label_names.txt").write_text("\n".join(f"name{i}" for i in range(100)))
    assert CIFAR100(tmp_path).classes[42] == "name42"
    assert CIFAR100.classes[42] == "42"


def test_damaged_photographs(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no test_batch.bin"):
        CIFAR10(tmp_path, train=False)
    (tmp_path / "test_batch.bin").write_bytes(bytes(3072))
    with pytest.raises(ValueError, match="has 3072 bytes, expected a multiple of 3073"):
        CIFAR10(tmp_path, train=False)
    colours(tmp_path / "test_batch.bin", 9, 1, 200)
    with pytest.raises(ValueError, match=r"has label \d+, expected 0 to 9"):
        CIFAR10(tmp_path, train=False)
