"""What tests of drawings share: small graphs, and looks at what a drawing holds."""

import tinygrad_like as torch
from tinygrad_like import nn
from tinygrad_like.nn.module import record_modules
from tinygrad_like.viz import output

SVG = "{http://www.w3.org/2000/svg}"
INSTALLED = [name for name in output.ENGINES if name == "plain" or output._program(name)]


def neuron():
    x = torch.tensor([1.0, -2.0])
    w = torch.tensor([0.5, 0.25], requires_grad=True)
    b = torch.tensor(0.1, requires_grad=True)
    return torch.tanh((w * x).sum() + b), {"w": w, "b": b, "x": x}


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(width, width), nn.ReLU())
        self.norm = nn.LayerNorm(width)

    def forward(self, x):
        return x + self.inner(self.norm(x))


def network(blocks=2):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), *(Block(4) for _ in range(blocks)), nn.Linear(4, 2))


def loss_of(model, x):
    with record_modules() as calls:
        out = model(x)
    return (out * out).mean(), calls


def boxes(graph, *kinds):
    return [box for box in graph.picture.boxes if box.kind in kinds]


def titles(graph, *kinds):
    return [box.title for box in boxes(graph, *kinds)]


def named(graph, title):
    (found,) = [box for box in graph.picture.boxes if box.title == title]
    return found


def toned(box, tone):
    return [str(line) for line in box.lines if getattr(line, "tone", "") == tone]
