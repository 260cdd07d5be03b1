"""All there is to see of a network that learns to read digits, in one run: pictures, pages, plots.

python examples/visualise.py
python examples/visualise.py --visdom 8097   (where ``python -m visdom.server`` runs)
"""

import argparse
import shutil

import digits
import helpers
from visualise_pictures import errors, pictures

import tinygrad_like as torch
from tinygrad_like import nn, viz
from tinygrad_like.nn.module import record_modules
from tinygrad_like.utils.tensorboard import SummaryWriter
from tinygrad_like.utils.visdom import Visdom

OUT = helpers.OUT / "visualise"
WRITTEN = []


def wrote(name, what):
    """Note for the end what a file shows."""
    WRITTEN.append(f"  {name:<22} {what}")


class Run:
    """A network that reads digits, its optimizer, and steps of its training."""

    def __init__(self):
        torch.manual_seed(0)
        images, labels, *_ = digits.split(seed=0)
        self.images, self.labels = torch.from_numpy(images).float(), torch.from_numpy(labels)
        self.model = digits.make_model(nn)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=2e-3)

    def batch(self, count=64):
        """Return images and labels drawn at random."""
        chosen = torch.randint(0, len(self.images), (count,))
        return self.images[chosen], self.labels[chosen]

    def loss(self, batch=None):
        """Return the loss of a batch."""
        images, labels = batch or self.batch()
        return nn.functional.cross_entropy(self.model(images), labels)

    def step(self):
        """Take a step of training and return the loss."""
        self.optimizer.zero_grad()
        loss = self.loss()
        loss.backward()
        self.optimizer.step()
        return loss


def plots(run, steps):
    """Train, and plot what layers return, their gradients, filters, and the loss around the weights."""
    progress = helpers.Progress(range(3 * steps), "training")
    bar = iter(progress)

    def step():
        next(bar)
        progress.note(run.step())

    with SummaryWriter(OUT / "runs") as writer:
        for count in range(steps):
            step()
            writer.add_scalar("training/loss", progress.losses[-1], count)
            for name, parameter in run.model.named_parameters():
                writer.add_histogram(f"parameters/{name}", parameter, count)
        writer.add_images("digits", nn.functional.pad(1 - run.images[:32], (1, 1, 1, 1), value=1))
        writer.add_graph(run.model, run.images[:2])
    wrote("runs/", "loss, histograms, digits and graph, for tensorboard --logdir")
    returned, sizes = (plot(run.model, step, steps) for plot in (viz.activations, viz.gradients))
    around = viz.landscape(run.model, lambda: run.loss(run.batch(256)))
    for name, what, figure in (
        ("activations.png", "what layers return, from step to step", returned),
        ("gradients.png", "how large gradients are: do they vanish or explode?", sizes),
        ("weights.png", "the filters of the first layer", viz.weights(run.model)),
        ("landscape.png", "the loss around the weights: bowl, valley or ravine?", around),
    ):
        figure.savefig(OUT / name)
        wrote(name, what)
    return progress.losses[-1]


def pages(run):
    """Write a page to play, the backward pass as a lesson, what a notebook shows, and an error."""
    with record_modules() as calls:
        loss = run.loss()
    viz.html(loss, OUT / "step.html", params=run.model, modules=calls, title="A step")
    wrote("step.html", "press play: the step forwards and backwards, gradients arriving")
    lesson = torch.explain(loss, params=run.model, modules=calls, check=True, show=False)
    lesson.save(OUT / "lesson.html")
    wrote("lesson.html", "the backward pass told as a lesson, each rule checked")
    shown = (run.images[0, 0], run.model, torch.summary(run.model, run.images[:2]))
    (OUT / "notebook.html").write_text(
        "<meta charset='utf-8'>" + "<hr>".join(thing._repr_html_() for thing in shown)
    )
    wrote("notebook.html", "how a notebook shows a tensor, a model and its summary")
    (OUT / "errors.txt").write_text("\n\n".join(errors(run)) + "\n")
    wrote("errors.txt", "errors that teach, and what debug.watch saw in a step")


def dashboard(run, port):
    """Send a curve, digits, a histogram and a graph to a Visdom server."""
    vis = Visdom(port=port, env="digits")
    for count in range(10):
        vis.curve("loss", run.step(), count)
    vis.images(1 - run.images[:32], win="digits")
    vis.histogram(run.model[0][0].weight, win="weights")
    vis.draw(run.loss(), run.model, win="graph", title="a step", depth=1)
    WRITTEN.append(f"  http://localhost:{port}/env/digits: a curve, digits, a histogram, a graph")


def main():
    """Write all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=60, help="of training, for each of 3 plots")
    parser.add_argument("--visdom", type=int, metavar="PORT", help="of a running server")
    args = parser.parse_args()
    OUT.mkdir(exist_ok=True)
    shutil.rmtree(OUT / "runs", ignore_errors=True)  # TensorBoard would show former ones too
    run = Run()
    loss = plots(run, args.steps)
    for name, what, graph in pictures(run):
        viz.render(graph, OUT / name)
        wrote(name, what)
    pages(run)
    if args.visdom:
        dashboard(run, args.visdom)
    print(f"Trained to a loss of {loss:.3f}. Written to {OUT}:")
    print("\n".join(WRITTEN))


if __name__ == "__main__":
    main()
