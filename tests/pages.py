"""Graphs that pages of `viz.html` are written of in tests, and what such a page knows of its graph."""

import base64
import gzip
import json
import re

import numpy as np

import tinygrad_like as torch
from tinygrad_like import nn
from tinygrad_like.nn.module import record_modules


def told(path):
    """Return what a page knows of its graph."""
    packed = re.search(r'<script id="data"[^>]*>([^<]*)</script>', path.read_text())[1]
    return json.loads(gzip.decompress(base64.b64decode(packed)))


def neuron():
    x = torch.tensor([1.0, -2.0])
    w = torch.tensor([0.5, 0.25], requires_grad=True)
    b = torch.tensor(0.1, requires_grad=True)
    h = torch.tanh((w * x).sum() + b)
    return h * h + h, {"w": w, "b": b, "x": x}


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.inner = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, x):
        return x + self.inner(self.norm(x))


def network(blocks=2):
    torch.manual_seed(0)
    model = nn.Sequential(*[Block(8) for _ in range(blocks)], nn.Linear(8, 3))
    with record_modules() as calls:
        loss = nn.functional.cross_entropy(model(torch.randn(5, 8)), torch.tensor([0, 1, 2, 0, 1]))
    return model, loss, calls


def loop(steps):
    """Return the result of a loop whose graph has three operations for each step."""
    torch.manual_seed(0)
    cell = nn.Sequential(nn.Linear(8, 8), nn.Tanh())
    x = torch.randn(4, 8)
    with record_modules() as calls:
        for _ in range(steps):
            x = cell(x) + x
    return cell, x.mean(), calls


def titled(box):
    """Return what a page calls a box: an operation and what the user calls its result."""
    return (
        f"{box['name']} \N{RIGHTWARDS ARROW} {box['called']}" if box.get("called") else box["name"]
    )


def named(page, name):
    (found,) = [box for box in page["boxes"] if box["name"] == name]
    return found


def numbers(found):
    return np.array([float(value) for value in found["values"]])


HOSTILE = (
    "</script><img src=x onerror=alert(1)>",
    "q\"uo'te é \N{SLIGHTLY SMILING FACE} <!-- {{data}} \u2028 -->",
)


def hostile():
    """Return a module and a loss whose names and lines would end the page's script, if they could."""
    model = nn.Module()
    for name in HOSTILE:
        model.add_module(name, nn.Linear(2, 2))
    x = torch.ones(1, 2)
    for layer in model.children():
        x = layer(x)  # </script><script>alert("2")</script> <!-- <script> é
    return model, x.sum()


# What is hard to tell by digits.
NUMBERS = {
    torch.float32: torch.tensor(
        [0.1, 1 / 3, 16777217.0, 3.4e38, 1e-45, -1e-7, 0.0, -0.0, float("nan"), -float("inf")]
    ),
    torch.float64: torch.tensor(
        [0.1, 1 / 3, 1e308, 5e-324, 2.0**53 + 2, 0.0, -0.0, float("nan"), -float("inf")],
        dtype=torch.float64,
    ),
    torch.int64: torch.tensor([2**63 - 1, -(2**63), 2**53 + 1, -7, 0]),
    torch.int8: torch.tensor([-128, 127, 0], dtype=torch.int8),
    torch.uint8: torch.tensor([0, 255], dtype=torch.uint8),
    torch.bool: torch.tensor([True, False]),
}


def numbers_of(value, dtype):
    """Return what a page is told of a number as a number of a dtype."""
    if isinstance(value, str) and dtype.kind != "f":
        value = int(value)
    return np.array(float(value) if dtype.kind == "f" else value).astype(dtype)
