"""Tensors go to files of the safetensors format and back, and to and from PyTorch's side of that library."""

from __future__ import annotations

import os
import sys

import numpy as np
import pytest

import tinygrad_like as ours
from tests.fixtures.objects import DTYPES, FOREIGN, dtypes, network
from tinygrad_like.graph import result_type
from tinygrad_like.utils import safetensors

library = pytest.importorskip("safetensors")


def flat(t):
    x = t.arange(24.0)
    more = {
        f"{name} {kind}": v
        for kind, part in dtypes(t).items()
        if kind != "special"
        for name, v in part.items()
    }
    return {
        "matrix": x.reshape(4, 6),
        "number": t.tensor(7.0),
        "empty": t.zeros(0, 3),
        "cube": t.arange(24).reshape(2, 3, 4),
        "leaf": t.ones(2, requires_grad=True),
        **more,
    }


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert str(found[name].dtype) == str(tensor.dtype), name
        assert tuple(found[name].shape) == tuple(tensor.shape), name
        np.testing.assert_array_equal(found[name].detach().numpy(), tensor.detach().numpy(), name)


def test_there_and_back(tmp_path):
    path = tmp_path / "x.safetensors"
    safetensors.save_file(flat(ours), path, {"format": "pt", "note": "größer"})
    assert_same(safetensors.load_file(path), flat(ours))
    assert_same(ours.load(path), flat(ours))
    assert_same(ours.load(str(path), map_location="cpu"), flat(ours))
    assert_same(safetensors.load(safetensors.save(flat(ours))), flat(ours))
    assert safetensors.load_metadata(path) == {"format": "pt", "note": "größer"}
    safetensors.save_file({}, path)
    assert safetensors.load_file(path) == {}
    assert safetensors.load_metadata(path) == {}
    with pytest.raises(RuntimeError, match="cuda"):
        ours.load(path, map_location="cuda")
    with pytest.raises(RuntimeError, match="cuda"):
        safetensors.load_file(path, device="cuda")


def test_files_are_exchanged_with_pytorch(tmp_path):
    torch = pytest.importorskip("torch")
    other = pytest.importorskip("safetensors.torch")
    path = str(tmp_path / "x.safetensors")
    safetensors.save_file(flat(ours), path)
    assert_same(other.load_file(path), flat(torch))
    other.save_file(flat(torch), path)
    assert_same(safetensors.load_file(path), flat(ours))
    assert safetensors.save(flat(ours)) == other.save(flat(torch))


def test_elements_that_do_not_lie_in_order_are_saved_right(tmp_path):
    x = ours.arange(24.0).reshape(4, 6)
    value = {
        "transposed": x.t(),
        "steps": ours.arange(24.0).reshape(4, 6)[::2, 1::2],
        "expanded": ours.arange(3.0).expand(2, 3),
        "reversed": result_type.make(np.arange(5.0)[::-1]),
        "convolved": ours.nn.functional.conv2d(ours.randn(2, 3, 5, 5), ours.randn(4, 3, 3, 3)),
    }
    assert not any(tensor.is_contiguous() for tensor in value.values())
    safetensors.save_file(value, tmp_path / "x.safetensors")
    assert_same(safetensors.load_file(tmp_path / "x.safetensors"), value)


def test_what_was_loaded_can_be_written():
    for data in (safetensors.save({"x": ours.ones(3)}),):
        found = safetensors.load(data)["x"]
        found += 1
        assert found.tolist() == [2.0, 2.0, 2.0]
        assert found.array.dtype is ours.float32.dtype


def test_dtypes_that_pytorch_alone_has_are_widened(tmp_path):
    torch = pytest.importorskip("torch")
    other = pytest.importorskip("safetensors.torch")
    made = {}
    for name, (values, _) in FOREIGN.items():
        wide = torch.tensor(values, dtype=torch.int64 if name.startswith("uint") else torch.float32)
        made[name] = wide.to(getattr(torch, name))
    path = str(tmp_path / "x.safetensors")
    other.save_file(made | {"empty": torch.zeros(0, 2, dtype=torch.bfloat16)}, path)
    found = safetensors.load_file(path)
    for name, (values, dtype) in FOREIGN.items():
        assert found[name].numpy().dtype == dtype
        np.testing.assert_array_equal(found[name].numpy(), np.array(values, dtype), name)
    assert found["empty"].shape == (0, 2)
    other.save_file({"x": torch.ones(2, dtype=torch.complex64)}, path)
    with pytest.raises(
        RuntimeError, match="tensor 'x' has the dtype C64, which has no counterpart"
    ):
        safetensors.load_file(path)


def test_shared_memory_is_refused():
    x = ours.arange(6.0)
    for value in ({"a": x, "b": x}, {"a": x, "b": x[1:]}, {"a": x[:4], "b": x[2:]}):
        with pytest.raises(RuntimeError, match=r"share memory.*\[\['a', 'b'\]\]"):
            safetensors.save(value)
    apart = {"a": x[:3], "b": x[3:], "c": x[:0], "d": x[:0]}
    assert safetensors.load(safetensors.save(apart))["b"].tolist() == [3.0, 4.0, 5.0]


def test_wrong_arguments():
    with pytest.raises(ValueError, match=r"Expected a dict of \[str, Tensor\] but received list"):
        safetensors.save([ours.ones(2)])
    with pytest.raises(ValueError, match="Key `b` is invalid, expected a Tensor but received int"):
        safetensors.save({"a": ours.ones(2), "b": 3})
    with pytest.raises(TypeError, match="str"):
        safetensors.save({"a": ours.ones(2)}, {"note": 3})
    with pytest.raises(library.SafetensorError):
        safetensors.load(b"garbage" * 10)
    with pytest.raises(FileNotFoundError):
        safetensors.load_file("/nowhere/x.safetensors")


def test_every_truncation_is_an_error(tmp_path):
    data = safetensors.save({"a": ours.ones(5), "b": ours.arange(3)})
    path = tmp_path / "x.safetensors"
    for end in range(len(data)):
        with pytest.raises(library.SafetensorError):
            safetensors.load(data[:end])
        path.write_bytes(data[:end])
        with pytest.raises((library.SafetensorError, ValueError)):
            safetensors.load_file(path)


def test_a_file_that_can_not_be_finished_leaves_the_former_one(tmp_path, monkeypatch):
    path = tmp_path / "x.safetensors"
    safetensors.save_file({"a": ours.ones(2)}, path)

    def fail(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        safetensors.save_file({"a": ours.zeros(2)}, path)
    assert safetensors.load_file(path)["a"].tolist() == [1.0, 1.0]
    assert os.listdir(tmp_path) == ["x.safetensors"]


def test_without_the_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    for call in (
        lambda: safetensors.save({}),
        lambda: safetensors.load(b""),
        lambda: safetensors.load_file("x"),
        lambda: ours.load("x.safetensors"),
    ):
        with pytest.raises(ImportError, match=r"pip install 'tinygrad-like\[safetensors\]'"):
            call()


# ----- Models -------------------------------------------------------------------------------------


def tied(t):
    t.manual_seed(2)
    net = t.nn.Sequential(t.nn.Linear(3, 3), t.nn.Linear(3, 3), t.nn.BatchNorm1d(3))
    net[1].weight = net[0].weight
    return net


@pytest.mark.parametrize("make", [network, tied])
def test_models_there_and_back(tmp_path, make):
    path = tmp_path / "x.safetensors"
    net, other = make(ours), make(ours)
    for p in other.parameters():
        p.data.zero_()
    safetensors.save_model(net, path, {"note": "1"})
    notes = {"note": "1"} | ({"1.weight": "0.weight"} if make is tied else {})
    assert safetensors.load_metadata(path) == notes
    assert safetensors.load_model(other, path) == (set(), [])
    for a, b in zip(net.parameters(), other.parameters(), strict=True):
        assert ours.equal(a, b)


@pytest.mark.parametrize("make", [network, tied])
def test_models_are_exchanged_with_pytorch(tmp_path, make):
    torch = pytest.importorskip("torch")
    theirs = pytest.importorskip("safetensors.torch")
    path = str(tmp_path / "x.safetensors")
    net, other = make(ours), make(torch)
    for p in other.parameters():
        p.data.zero_()
    safetensors.save_model(net, path)
    assert theirs.load_model(other, path) == (set(), [])
    for a, b in zip(net.parameters(), other.parameters(), strict=True):
        np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy())
    theirs.save_model(make(torch), path)
    for p in net.parameters():
        p.data.zero_()
    assert safetensors.load_model(net, path) == (set(), [])
    for a, b in zip(net.parameters(), make(torch).parameters(), strict=True):
        np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy())


def test_models_that_do_not_fit(tmp_path):
    path = tmp_path / "x.safetensors"
    safetensors.save_model(tied(ours), path)
    untied = ours.nn.Sequential(ours.nn.Linear(3, 3), ours.nn.Linear(3, 3))
    with pytest.raises(RuntimeError, match=r"missing key\(s\) \['1.weight'\], unexpected .*2.bias"):
        safetensors.load_model(untied, path)
    missing, unexpected = safetensors.load_model(untied, path, strict=False)
    assert missing == {"1.weight"}
    assert "2.bias" in unexpected
    safetensors.save_model(untied, path)
    _, unexpected = safetensors.load_model(tied(ours), path, strict=False)
    assert unexpected == ["1.weight"]


def test_parts_that_cover_each_other_are_refused(tmp_path):
    x = ours.arange(6.0)
    net = ours.nn.Module()
    net.register_buffer("a", x[:4])
    net.register_buffer("b", x[2:])
    with pytest.raises(
        RuntimeError, match=r"\['a', 'b'\] share memory, but none of them covers all"
    ):
        safetensors.save_model(net, tmp_path / "x.safetensors")


def test_all_dtypes_have_a_name():
    assert {*DTYPES, *FOREIGN} == set(safetensors._DTYPES.values())
