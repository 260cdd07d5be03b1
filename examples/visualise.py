"""Pictures of graphs: an expression, a network, what a step costs, a long loop; and a page to play a step.

python examples/visualise.py
"""

import argparse
from pathlib import Path

import tinygrad_like as torch
from tinygrad_like import nn, viz
from tinygrad_like.nn.module import record_modules

OUT = Path(__file__).parent / "out"


def expression():
    """Draw a neuron with values, gradients, and the way the gradients went."""
    x = torch.tensor([1.0, -2.0])
    w = torch.tensor([0.5, 0.25], requires_grad=True)
    b = torch.tensor(0.1, requires_grad=True)
    out = torch.tanh((w * x).sum() + b)
    out.backward(retain_graph=True)  # the values are freed otherwise
    return viz.draw(
        out,
        {"w": w, "b": b, "x": x},
        show_values=True,
        show_grads=True,
        direction="both",
    )


class Block(nn.Module):
    """Two linear layers around a bend, added to the input."""

    def __init__(self, width):
        super().__init__()
        self.inner = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, x):
        """Take and return (N, width)."""
        return x + self.inner(self.norm(x))


def training_step():
    """Return the loss of a network, the network, and the calls of its modules."""
    model = nn.Sequential(nn.Linear(10, 16), Block(16), nn.Linear(16, 3))
    with record_modules() as calls:
        out = model(torch.randn(32, 10))
    loss = nn.functional.cross_entropy(out, torch.randint(0, 3, (32,)))
    return loss, model, calls


def network():
    """Draw a network, a frame around each of its modules."""
    loss, model, calls = training_step()
    return viz.draw(loss, model, modules=calls)


def costs():
    """Draw what a step takes and sends back, with its order, marking what is wrong with gradients."""
    model = nn.Sequential(nn.Linear(10, 64), nn.ReLU(), nn.Linear(64, 3))
    x, target = torch.randn(256, 10), torch.randint(0, 3, (256,))
    with torch.no_grad():
        model[0].bias[:40] = -10.0  # these units are dead: no input reaches them
    nn.functional.cross_entropy(model(x), target).backward()  # the first run compiles kernels
    with viz.profiled() as profile, record_modules() as calls:
        loss = nn.functional.cross_entropy(model(x), target)
        loss.backward(retain_graph=True)
    return viz.draw(
        loss,
        model,
        modules=calls,
        results="edges",
        profile=profile,
        highlight=True,
        show_order=True,
        show_rules=True,
        legend=True,
    )


def deep(steps):
    """Draw a loop far too long to show each operation: it is summarised by module."""
    cell = nn.Sequential(nn.Linear(8, 8), nn.Tanh())
    x = torch.randn(4, 8)
    with record_modules() as calls:
        for _ in range(steps):
            x = cell(x) + x
    return viz.draw(x.mean(), cell, modules=calls)


def main():
    """Write four pictures and a page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=500, help="rounds of the long loop")
    args = parser.parse_args()
    torch.manual_seed(0)
    for name, graph in (
        ("graph-expression", expression()),
        ("graph-network", network()),
        ("graph-costs", costs()),
        ("graph-deep", deep(args.steps)),
    ):
        print(f"{len(graph.picture.boxes):4} boxes: {viz.render(graph, OUT / f'{name}.svg')}")
    loss, model, calls = training_step()
    page = viz.html(loss, OUT / "step.html", params=model, modules=calls, title="A training step")
    print(f"open in a browser: {page}")


if __name__ == "__main__":
    main()
