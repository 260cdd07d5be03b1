"""Large graphs stay readable: rounds of loops, calls of modules and runs of operations are folded."""

import re
import sys
from collections import Counter

import pytest

import tinygrad_like as torch
from tests.drawings import Block, boxes, loss_of, named, network, titles, toned
from tinygrad_like import nn, viz
from tinygrad_like.graph import AccumulateGrad
from tinygrad_like.nn.module import record_modules
from tinygrad_like.viz.folding import READABLE
from tinygrad_like.viz.picture import operations_of


def number_of_operations(loss):
    return sum(not isinstance(node, AccumulateGrad) for node in operations_of([loss]))


def told_operations(graph):
    """Return how many operations the boxes stand for, by name."""
    counts = Counter(titles(graph, "operation"))
    for box in boxes(graph, "group"):
        assert "…" not in box.lines[0]
        for number, name in re.findall(r"(\d[\d,]*) (\w+)", box.lines[0]):
            counts[name] += int(number.replace(",", ""))
    return counts


def frames(graph):
    return [c.title for i, c in enumerate(graph.picture.clusters) if i in graph.picture.occupied()]


def recurrent(steps):
    torch.manual_seed(0)
    weights = {
        "wx": torch.randn(4, 8, requires_grad=True),
        "wh": torch.randn(8, 8, requires_grad=True),
    }
    h = torch.zeros(2, 8)
    for x in torch.randn(steps, 2, 4):
        h = torch.tanh(x @ weights["wx"] + h @ weights["wh"])
    return h.mean(), weights


class TestLoops:
    def test_all_rounds_but_the_first_are_one_box(self):
        loss, weights = recurrent(60)
        graph = viz.draw(loss, weights)
        assert titles(graph, "operation") == ["matmul", "matmul", "add", "tanh", "mean"]
        assert frames(graph) == ["first of 60 alike"]
        rest = named(graph, "59 more alike")
        assert rest.lines[0] == "118 matmul, 59 add, 59 tanh"
        assert re.fullmatch(r"test_viz_folding\.py:\d+", rest.lines[1])
        assert titles(graph, "parameter") == ["wx", "wh"]

    def test_the_arrows_are_those_of_the_graph(self):
        loss, weights = recurrent(60)
        picture = viz.draw(loss, weights).picture
        joined = set()
        for source, target in picture.arrows:
            assert source < target
            joined.add((picture.boxes[source].title, picture.boxes[target].title))
        assert {("wx", "59 more alike"), ("wh", "59 more alike"), ("wx", "matmul")} <= joined
        (sent,) = [t for s, t in picture.arrows if picture.boxes[s].title == "59 more alike"]
        assert [picture.boxes[t].title for s, t in picture.arrows if s == sent] == ["mean"]

    def test_what_can_be_read_is_not_folded(self):
        steps = (READABLE - 1) // 4
        loss, weights = recurrent(steps)
        assert number_of_operations(loss) <= READABLE
        assert boxes(viz.draw(loss, weights), "group") == []
        rest = [f"{steps - 1} more alike"]
        assert titles(viz.draw(loss, weights, limit=20), "group") == rest
        assert boxes(viz.draw(recurrent(steps + 1)[0], depth=9), "group") == []

    def test_rounds_of_other_shapes_are_told_apart(self):
        total = 0.0
        for size in range(1, 8):
            y = torch.ones(2, size, requires_grad=True)
            for _ in range(6):
                y = y.sin().cos()
            total = total + y.sum()
        graph = viz.draw(total)
        shown = {line for box in boxes(graph, "result") for line in box.lines}
        assert {f"2 x {size}, float32" for size in range(1, 8)} <= shown
        assert titles(graph, "group") == ["5 more alike"] * 7

    def test_a_round_begins_where_the_loop_does(self):
        a = torch.tensor(0.5, requires_grad=True)
        x, y = torch.tensor(1.0), torch.tensor(0.5)
        for _ in range(100):
            dx = a * x
            dy = x.sin() * y.cos()
            x, y = x + dx, y - dy
        graph = viz.draw(x + y)
        # In the first round x needs no gradient yet.
        assert frames(graph) == ["first of 98 alike"]
        inside = [box.title for box in boxes(graph, "operation") if box.cluster is not None]
        assert inside == ["multiply", "sin", "cos", "multiply", "add", "subtract"]

    def test_loops_in_loops(self):
        torch.manual_seed(0)
        weights = [torch.randn((), requires_grad=True) for _ in range(5)]
        total = 0.0
        for point in torch.rand(30, 5):
            total = total + sum((w * x for w, x in zip(weights, point, strict=True)), 0.0).tanh()
        graph = viz.draw(total)
        assert frames(graph) == ["first of 30 alike", "first of 5 alike"]
        assert titles(graph, "group") == ["4 more alike", "29 more alike"]
        assert told_operations(graph) == {"multiply": 150, "add": 180, "tanh": 30}

    def test_names_are_whole_where_no_module_stands_around(self):
        model = nn.Sequential(*(nn.Linear(2, 2) for _ in range(50)))
        y = torch.ones(1, 2)
        for layer in model:
            y = torch.tanh(y @ layer.weight.T + layer.bias)
        assert titles(viz.draw(y), "parameter") == ["model.0.weight", "model.0.bias"]

    def test_every_leaf_is_told_once(self):
        total = torch.tensor(0.0)
        shared = [torch.tensor(1.0, requires_grad=True) for _ in range(6)]
        for i in range(60):
            own = torch.tensor(1.0, requires_grad=True)
            total = total + own * shared[i % 6] * shared[(i + 1) % 6]
        graph = viz.draw(total)
        told = len(boxes(graph, "parameter")) - len([t for t in titles(graph, "parameter") if t])
        said = [t for t in titles(graph, "parameter") if t] + [
            line for box in boxes(graph, "group") for line in box.lines
        ]
        told += sum(int(n) for n in re.findall(r"(\d+) parameter", " ".join(said)))
        assert told == 66

    def test_many_results_of_one_shape_are_one_box(self):
        x = torch.ones(3, requires_grad=True)
        rows = []
        for i in range(50):
            rows.append(x.sin() * float(i))
        graph = viz.draw(torch.stack(rows).sum())
        assert named(graph, "49 results").lines == ["3, float32"]
        assert titles(graph, "group") == ["49 more alike"]

    def test_an_operation_of_one_kind_a_thousand_times(self):
        y = torch.ones(2, requires_grad=True)
        for _ in range(1500):
            y = y + 1
        graph = viz.draw(y.sum())
        assert titles(graph, "group") == ["1,499 more alike"]
        assert titles(graph, "operation") == ["add", "sum"]

    def test_a_hundred_thousand_operations_need_no_recursion(self):
        x = torch.tensor(1.0, requires_grad=True)
        y = x
        for _ in range(50_000):
            y = y * 1.0
            y = y + 0.0
        assert sys.getrecursionlimit() < 50_000
        graph = viz.draw(y, {"x": x})
        assert titles(graph, "group") == ["49,999 more alike"]
        assert titles(graph, "operation") == ["multiply", "add"]

    @pytest.mark.parametrize("engine", ["plain", None])
    def test_it_can_be_drawn(self, engine, tmp_path):
        graph = viz.draw(*recurrent(300), show_rules=True, show_order=True, highlight=True)
        text = viz.render(graph, tmp_path / "graph.svg", engine=engine).read_text()
        assert "299 more alike" in text
        assert len(text) < 40_000

    def test_notes_are_summed_up(self):
        loss, weights = recurrent(300)
        graph = viz.draw(loss, weights, show_order=True)
        rest = named(graph, "299 more alike")
        assert toned(rest, "order") == [f"backward 2 to {1 + 299 * 4}"]


class TestConstants:
    def test_of_a_round_what_it_is_given_is_not_shown_with_the_others(self):
        w = torch.tensor(2.0, requires_grad=True)
        total, shared = torch.tensor(0.0), torch.tensor(3.0)
        for i in range(40):
            own = torch.tensor(float(i))
            total = total + w * own * shared
        graph = viz.draw(total)
        numbers = [i for i, box in enumerate(graph.picture.boxes) if box.title == "39 more alike"]
        into = {graph.picture.boxes[s].title for s, t in graph.picture.arrows if t in numbers}
        assert into == {"w", "shared", ""}  # and the sum so far, but not the last `own`


class TestModules:
    def test_calls_of_one_module_in_a_loop(self):
        cell = nn.Sequential(nn.Linear(3, 3), nn.Tanh())
        x = torch.randn(2, 3)
        with record_modules() as calls:
            for _ in range(20):
                x = cell(x) + x
        full = viz.draw(x.sum(), cell, modules=calls, depth=9)
        assert boxes(full, "group") == []
        graph = viz.draw(x.sum(), cell, modules=calls)
        assert frames(graph) == ["first of 20 alike", "Sequential", "0: Linear", "1: Tanh"]
        assert titles(graph, "group") == ["19 more alike"]
        assert titles(graph, "parameter") == ["0.weight", "0.bias"]

    def test_a_call_that_is_a_round(self):
        cell = nn.GRUCell(3, 4)
        h = torch.zeros(2, 4)
        with record_modules() as calls:
            for _ in range(200):
                h = cell(torch.randn(2, 3), h)
        graph = viz.draw(h.sum(), cell, modules=calls)
        assert frames(graph) == ["first of 200 alike", "GRUCell"]

    def test_layers_fold_as_far_as_need_be(self):
        model = nn.Sequential(*(Block(4) for _ in range(30)))
        loss, calls = loss_of(model, torch.randn(2, 4))
        graph = viz.draw(loss, model, modules=calls)
        assert titles(graph, "group") == [f"{i}: Block" for i in range(30)]
        assert boxes(viz.draw(loss, model, modules=calls, depth=4), "group") == []
        assert titles(viz.draw(loss, model, modules=calls, depth=0), "group") == ["Sequential"]

    def test_too_many_layers_are_compared_by_what_they_are(self):
        model = nn.Sequential(*(Block(4) for _ in range(150)))
        loss, calls = loss_of(model, torch.randn(2, 4))
        graph = viz.draw(loss, model, modules=calls)
        assert titles(graph, "group") == ["149 more alike"]
        assert frames(graph)[1:3] == ["first of 150 alike", "0: Block"]
        assert "596 parameters, 4,172 elements" in named(graph, "149 more alike").lines

    def test_a_few_layers_stay_whole(self):
        loss, calls = loss_of(network(5), torch.randn(2, 3))
        assert boxes(viz.draw(loss, modules=calls), "group") == []


def shuffled(count):
    """Return a sum of a graph in which nothing comes in the same order twice."""
    torch.manual_seed(1)
    x = torch.ones(3, requires_grad=True)
    y = x
    for pick in torch.randint(0, 3, (count,)).tolist():
        y = (torch.sin, torch.cos, torch.tanh)[pick](y)
    return y.sum()


class TestRuns:
    def test_without_any_structure(self):
        loss = shuffled(3000)
        graph = viz.draw(loss)
        assert len(boxes(graph, "group")) == 12
        assert set(titles(graph, "group")) == {"251 operations", "240 operations"}
        assert sum(told_operations(graph).values()) == number_of_operations(loss) == 3001

    def test_a_limit_above_leaves_it_whole(self):
        graph = viz.draw(shuffled(300))
        told = told_operations(graph)
        assert sum(told.values()) == 301
        assert all(title.endswith("alike") for title in titles(graph, "group"))
