"""The pictures of graphs that ``visualise.py`` writes, and the errors."""

import digits

import tinygrad_like as torch
from tinygrad_like import debug, nn, viz


def neuron():
    """Draw a few operations with values, gradients, and the way these went."""
    x = torch.tensor([1.0, -1.0])
    w = torch.tensor([0.5, 0.25], requires_grad=True)
    out = torch.tanh((w * x).sum())
    out.backward(retain_graph=True)  # the values are freed otherwise
    return viz.draw(out, {"w": w, "x": x}, show_values=True, show_grads=True, direction="both")


def trouble(batch):
    """Draw what is wrong with a network of which most units in the middle are dead."""
    model = digits.make_model(nn)
    with torch.no_grad():
        model[1][2].bias[:60] = -100.0  # no input reaches them
    images, labels = batch
    return viz.draw(
        lambda: nn.functional.cross_entropy(model(images), labels), highlight=True, results="edges"
    )


def pictures(run):
    """Yield the name of a file, what it shows, and the picture."""
    batch, model = run.batch(), run.model

    def loss():
        return run.loss(batch)

    def draw(loss=loss, **options):
        return viz.draw(loss, model, legend=True, **options)

    yield "neuron.svg", "a few operations: values, gradients, the way they went", neuron()
    yield "step.svg", "a step of training, a frame for each module", draw()
    yield "folded.svg", "the same, modules folded", draw(depth=1)
    rules = draw(results="edges", show_rules=True, show_order=True)
    yield "rules.svg", "the same: rules as formulas, the order of backward", rules
    yield "print.svg", "the same, for print", draw(style="print")
    profile = viz.profile(loss)
    costs = draw(profile.result, profile=profile, style="dark")
    yield "costs.svg", "time, memory and flops of each operation, for dark screens", costs
    model.eval()  # without what dropout changes at random
    before = viz.snapshot(loss())
    run.step()
    difference = draw(compare=before, results="edges")
    yield "difference.svg", "what a step of the optimizer changed", difference
    model.train()
    optimizer = viz.draw(run.optimizer, names=model, rankdir="LR")
    yield "optimizer.svg", "what the optimizer makes of each gradient", optimizer
    yield "trouble.svg", "a network with dead units, found and marked", trouble(batch)
    large = draw(lambda: sum(run.loss(run.batch(2)) for _ in range(60)))
    yield "large.svg", "the losses of 60 batches added up: the first, and a box of others", large


def errors(run):
    """Yield the texts of two errors, and what is to be said of a step of training."""

    def of_another_shape():
        run.model(torch.ones(2, 3, 8, 8))

    def not_a_number():
        with debug.detect_anomaly():
            torch.log(run.model(run.images[:4]))  # of numbers below 0

    for mistake in (of_another_shape, not_a_number):
        try:
            mistake()
        except RuntimeError as error:
            yield "\n".join([str(error), *error.__notes__])
    with debug.watch(run.model, run.optimizer) as seen:
        run.step()
    yield "\n".join(map(str, seen.report() or ["nothing amiss in this step"]))
