"""Pictures of an optimizer's step, and the styles of all pictures."""

import copy
import math
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

import tinygrad_like as torch
from tests.drawings import (
    INSTALLED,
    SVG,
    Block,
    boxes,
    loss_of,
    network,
    neuron,
    titles,
)
from tinygrad_like import nn, viz
from tinygrad_like.viz import output
from tinygrad_like.viz.picture import describe_values
from tinygrad_like.viz.styles import COLD, HOT, SHAPES, STYLES


class TestOptimizerStep:
    def made(self, kind=torch.optim.Adam, **options):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
        return model, kind(model.parameters(), **options), torch.randn(6, 3)

    @pytest.mark.parametrize(
        ("kind", "options", "state"),
        [
            (torch.optim.SGD, {"lr": 0.1}, []),
            (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9}, ["momentum_buffer"]),
            (torch.optim.Adam, {"lr": 0.01}, ["step", "exp_avg", "exp_avg_sq"]),
            (torch.optim.RMSprop, {"lr": 0.01}, ["step", "square_avg"]),
        ],
    )
    def test_the_update_is_the_one_that_step_makes(self, kind, options, state):
        model, optimizer, x = self.made(kind, **options)
        for _ in range(2):
            optimizer.zero_grad()
            model(x).square().mean().backward()
            optimizer.step()
        optimizer.zero_grad()
        loss = model(x).square().mean()
        kept = copy.deepcopy(optimizer.state_dict())
        graph = viz.draw(optimizer, loss, names=model)
        assert all(p.grad is None for p in model.parameters())
        again = optimizer.state_dict()
        for index, entry in kept["state"].items():
            for name, value in entry.items():
                assert np.array_equal(again["state"][index][name], value), name
        before = {name: p.detach().clone() for name, p in model.named_parameters()}
        loss.backward()
        optimizer.step()
        assert len(boxes(graph, "parameter")) == len(boxes(graph, "gradient")) == 4
        for box in boxes(graph, "result"):
            frame = graph.picture.clusters[box.cluster].title
            p = model.get_parameter(f"{frame}.{box.title.removesuffix(' after')}")
            moved = (p.detach() - before[f"{frame}.{box.title.removesuffix(' after')}"]).double()
            told = float(box.lines[0].removeprefix("update "))
            assert math.isclose(told, moved.norm().item(), rel_tol=0.01)
        lines = [line for box in boxes(graph, "state") for line in box.lines]
        assert {line.split()[0] for line in lines} == set(state)
        gradients = [float(box.lines[1].split()[1]) for box in boxes(graph, "gradient")]
        norms = [p.grad.double().norm().item() for p in model.parameters()]
        assert np.allclose(gradients, norms, rtol=0.01)

    def test_options_are_told(self):
        model, optimizer, x = self.made(lr=0.02, betas=(0.8, 0.9))
        graph = viz.draw(optimizer, model(x).sum(), names=model)
        update = boxes(graph, "operation")[0]
        assert update.title == "Adam"
        assert update.lines[:2] == ["lr 0.02", "betas 0.8, 0.9"]

    def test_gradients_that_are_there_are_taken(self):
        model, optimizer, x = self.made()
        model(x).sum().backward()
        graph = viz.draw(optimizer, names=model, show_values=True)
        assert titles(graph, "output") == []
        bias = model[2].bias
        shown = [box.lines[1] for box in boxes(graph, "gradient")]
        assert describe_values(bias.grad.numpy()) in shown

    def test_a_parameter_without_a_gradient(self):
        model, optimizer, x = self.made()
        graph = viz.draw(optimizer, model[0](x).sum(), names=model)
        idle = [box for box in boxes(graph, "operation") if box.marks]
        assert [box.lines for box in idle] == [["no gradient: nothing is done"]] * 2
        told = [box.lines[0] for box in boxes(graph, "result")]
        assert told[2:] == ["update 0"] * 2

    def test_many_parameters_are_shown_by_module(self):
        torch.manual_seed(0)
        model = nn.Sequential(*(Block(4) for _ in range(5)))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        loss = model(torch.randn(3, 4)).sum()
        graph = viz.draw(optimizer, loss, names=model)
        assert titles(graph, "group") == [
            f"{i}.{part}" for i in range(5) for part in ("inner.0", "norm")
        ]
        assert boxes(graph, "group")[0].lines[:2] == ["2 parameters", "20 elements"]
        unnamed = viz.draw(optimizer, loss)
        assert len(boxes(unnamed, "group")) <= 12

    def test_an_optimizer_that_needs_a_closure(self):
        model, optimizer, x = self.made(torch.optim.LBFGS)
        graph = viz.draw(optimizer, model(x).sum())
        assert {box.lines[0] for box in boxes(graph, "result")} == {"the update needs a closure"}

    def test_names_in_the_place_of_the_loss(self):
        model, optimizer, _ = self.made()
        with pytest.raises(TypeError, match="the second argument is the loss, got Sequential"):
            viz.draw(optimizer, model)


# ----- Styles -------------------------------------------------------------------------------------


def luminance(color):
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a, b):
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def seen_without_red(color):
    """Return a colour as a reader without red cones sees it (Viénot, Brettel and Mollon, 1999)."""
    r, g, b = (int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return (0.11238 * r + 0.88762 * g, 0.11238 * r + 0.88762 * g, 0.00401 * (r - g) + b)


class TestStyles:
    @pytest.mark.parametrize("name", sorted(STYLES))
    def test_every_text_can_be_read_on_every_ground(self, name):
        style = STYLES[name]
        grounds = {style.paper, *style.frames, style.warmed(0), style.warmed(1)}
        grounds |= {style.warmed(1, changed=True), *(fill for fill, _ in style.fills.values())}
        for ground in grounds:
            assert contrast(style.ink, ground) >= 4.5, ground
            for tone, color in style.tones.items():
                assert contrast(color, ground) >= 3, (tone, ground)
        for tone in ("faint", "rule"):
            for ground in {style.paper, *style.frames}:
                assert contrast(style.tones[tone], ground) >= 4.5, (tone, ground)

    @pytest.mark.parametrize("name", ["light", "dark"])
    def test_kinds_differ_for_readers_who_see_no_red(self, name):
        style = STYLES[name]
        kinds = ["operation", "parameter", "input", "saved", "constant", "output", "group"]
        for i, a in enumerate(kinds):
            for b in kinds[:i]:
                one, two = (seen_without_red(style.fills[kind][1]) for kind in (a, b))
                apart = math.dist(one, two)
                assert apart > 0.12 or SHAPES[a] != SHAPES[b], (a, b)
        assert math.dist(seen_without_red(style.hot), seen_without_red(style.cold)) > 0.3

    @pytest.mark.parametrize("engine", INSTALLED)
    @pytest.mark.parametrize("name", sorted(STYLES))
    def test_every_engine_draws_every_style(self, name, engine):
        model = network(1)
        loss, calls = loss_of(model, torch.randn(4, 3))
        graph = viz.draw(
            loss, model, modules=calls, style=name, show_rules=True, show_order=True, legend=True
        )
        text = output._produce(graph, "svg", engine).decode()
        root = ET.fromstring(text)
        style = STYLES[name]
        words = {t.text for t in root.iter(f"{SVG}text")}
        for box in graph.picture.boxes:
            assert words.issuperset(line for line in [box.title, *box.lines] if line)
        used = set(re.findall(r'(?:fill|stroke)="(#[0-9a-f]{6})"', text))
        assert {style.ink, style.line, *style.fills["operation"]} & used
        if name != "print":
            for box in graph.picture.boxes:
                assert set(style.fills[box.kind]) <= used | {"#ffffff"}, box.kind
        else:
            assert all(len({c[1:3], c[3:5], c[5:7]}) == 1 for c in used)

    @pytest.mark.parametrize("engine", INSTALLED)
    def test_print_has_patterns_under_a_class_of_its_own(self, engine):
        out, params = neuron()
        text = output._produce(viz.draw(out, params, style="print"), "svg", engine).decode()
        root = ET.fromstring(text)
        assert root.get("class") == "for-print"
        tiles = {p.get("id") for p in root.iter(f"{SVG}pattern")}
        assert tiles == {"pattern-parameter", "pattern-input", "pattern-output"}
        rules = "".join(s.text for s in root.iter(f"{SVG}style"))
        assert all(f"url(#{tile})" in rules for tile in tiles)
        assert all(
            part.startswith(".for-print ") for part in re.split(r"[,}]", rules) if "." in part
        )
        assert "for-print" not in output._produce(viz.draw(out), "svg", engine).decode()

    @pytest.mark.parametrize("engine", INSTALLED)
    def test_heat_is_seen_in_print_too(self, engine):
        w = torch.tensor([1.0, 1.0], requires_grad=True)
        before = viz.snapshot((w * w).sum())
        with torch.no_grad():
            w.mul_(3)
        graph = viz.draw((w * w).sum(), {"w": w}, compare=before, style="print")
        root = ET.fromstring(output._produce(graph, "svg", engine))
        (box,) = [g for g in root.iter(f"{SVG}g") if "parameter" in g.get("class", "").split()]
        assert "warm" in box.get("class").split()
        assert STYLES["print"].change[1] in {e.get("fill") for e in box.iter()}
        rules = "".join(s.text for s in root.iter(f"{SVG}style"))
        assert rules.count("parameter:not(.warm)") == 3

    def test_the_default_is_light_and_says_nothing_new(self):
        out, params = neuron()
        graph = viz.draw(out, params)
        assert graph.look is STYLES["light"]
        assert graph.source == viz.draw(out, params, style="light").source
        for box in graph.picture.boxes:
            assert box.marks == ()
            assert box.heat is None
            assert len(box.lines) <= 1

    @pytest.mark.parametrize("engine", [name for name in INSTALLED if name != "plain"])
    def test_words_are_centred_in_their_boxes(self, engine):
        out, params = neuron()
        graph = viz.draw(out, params, show_values=True)
        root = ET.fromstring(output._produce(graph, "svg", engine))
        seen = 0
        for g in root.iter(f"{SVG}g"):
            if not (g.get("class") or "").startswith("node"):
                continue
            (shape, *_) = [
                e for e in g.iter() if e.tag[len(SVG) :] in ("ellipse", "polygon", "path")
            ]
            middle = shape.get("cx")
            if middle is None:
                points = re.findall(r"(-?[\d.]+),", shape.get("points") or shape.get("d"))
                middle = (min(map(float, points)) + max(map(float, points))) / 2
            for text in g.iter(f"{SVG}text"):
                assert text.get("text-anchor") == "middle"
                assert math.isclose(float(text.get("x")), float(middle), abs_tol=0.02)
                seen += 1
        assert seen == sum(bool(box.title) + len(box.lines) for box in graph.picture.boxes)

    def test_marks_are_hot_or_cold(self):
        style = STYLES["light"]
        assert {style.alarm((mark,)) for mark in HOT} == {style.hot}
        assert {style.alarm((mark,)) for mark in COLD} == {style.cold}
        assert style.alarm(("zero", "nan")) == style.hot
        assert style.alarm(("changed",)) is None
