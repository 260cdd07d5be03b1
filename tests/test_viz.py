"""Drawings hold what the engine's graph holds, whoever lays them out."""

import re
import sys
import xml.etree.ElementTree as ET
from collections import Counter

import graphviz
import pytest

import tinygrad_like as torch
from tinygrad_like import nn, viz
from tinygrad_like.graph import AccumulateGrad, Pick, reachable
from tinygrad_like.nn.module import record_modules
from tinygrad_like.viz import output
from tinygrad_like.viz.picture import describe_values

SVG = "{http://www.w3.org/2000/svg}"
INSTALLED = [name for name in output.ENGINES if name == "plain" or output._program(name)]


def neuron():
    x = torch.tensor([1.0, -2.0])
    w = torch.tensor([0.5, 0.25], requires_grad=True)
    b = torch.tensor(0.1, requires_grad=True)
    return torch.tanh((w * x).sum() + b), {"w": w, "b": b, "x": x}


def titles(graph, kind):
    return [box.title for box in graph.picture.boxes if box.kind == kind]


def box_named(graph, title):
    (found,) = [box for box in graph.picture.boxes if box.title == title]
    return found


def frame_path(graph, box):
    path, index = [], box.cluster
    while index is not None:
        path.append(graph.picture.clusters[index].title)
        index = graph.picture.clusters[index].parent
    return path[::-1]


class TestPicture:
    def test_every_operation_and_leaf_of_the_graph_is_there_once(self):
        out, named = neuron()
        graph = viz.draw(out, named)
        nodes = [node for node in reachable([out.node]) if not isinstance(node, Pick)]
        engine = [node.op.name for node in nodes if not isinstance(node, AccumulateGrad)]
        assert titles(graph, "operation") == engine == ["multiply", "sum", "add", "tanh"]
        assert sorted(titles(graph, "parameter")) == ["b", "w"]
        assert titles(graph, "input") == ["x"]
        assert len(titles(graph, "output")) == 1
        assert len(titles(graph, "result")) == 3

    def test_arrows_follow_the_data(self):
        out, named = neuron()
        picture = viz.draw(out, named).picture
        joined = set()
        for source, target in picture.arrows:
            assert source < target
            joined.add((picture.boxes[source].title, picture.boxes[target].title))
        assert {("w", "multiply"), ("x", "multiply"), ("b", "add")} <= joined
        ends = Counter(target for _, target in picture.arrows)
        for number, box in enumerate(picture.boxes):
            expected = {"operation": 2, "result": 1, "output": 1}.get(box.kind, 0)
            if box.title in ("sum", "tanh"):
                expected = 1
            assert ends[number] == expected

    def test_an_operand_used_twice_has_two_arrows(self):
        x = torch.tensor([1.0, 2.0], requires_grad=True)
        picture = viz.draw(x * x, {"x": x}).picture
        assert Counter(picture.arrows)[0, 1] == 2

    def test_shapes_and_dtypes(self):
        x = torch.ones(2, 3, dtype=torch.float64, requires_grad=True)
        y = (x * 2).float().sum(1)
        graph = viz.draw(y)
        said = [box.lines for box in graph.picture.boxes if box.kind != "operation"]
        assert ["2 x 3, float64"] in said
        assert said[-1] == ["2, float32"]
        assert not any("float64" in line for line in said[-2])

    def test_values_and_gradients(self):
        out, named = neuron()
        out.backward(retain_graph=True)
        graph = viz.draw(out, named, show_values=True, show_grads=True)
        w = named["w"]
        assert box_named(graph, "w").lines == [
            "2, float32",
            "[0.5, 0.25]",
            f"grad {describe_values(w.grad.numpy())}",
        ]
        assert box_named(graph, "x").lines[1] == "[1., -2.]"
        (output_box,) = [box for box in graph.picture.boxes if box.kind == "output"]
        assert output_box.lines[1] == describe_values(out.detach().numpy())
        plain = viz.draw(out, named)
        assert all(len(box.lines) <= 1 for box in plain.picture.boxes)

    def test_a_value_saved_by_the_next_operation_is_shown(self):
        x = torch.tensor(3.0, requires_grad=True)
        y = x + 1
        graph = viz.draw(y * y, show_values=True)
        (between,) = [box for box in graph.picture.boxes if box.kind == "result"]
        assert between.lines == ["scalar, float32", "4."]

    def test_retained_gradient_is_shown(self):
        x = torch.tensor(3.0, requires_grad=True)
        y = x + 1
        y.retain_grad()
        z = y * 2
        z.backward(retain_graph=True)
        graph = viz.draw(z, show_grads=True)
        (between,) = [box for box in graph.picture.boxes if box.kind == "result"]
        assert between.lines[-1] == "grad 2."

    def test_large_tensors_show_mean_and_deviation(self):
        assert describe_values(torch.arange(100).numpy()) == "mean 49.5, std 28.9"
        assert describe_values(torch.zeros(0).numpy()) == "empty"
        assert describe_values(torch.tensor(0.1).numpy()) == "0.1"

    def test_after_backward_the_shapes_are_left(self):
        out, named = neuron()
        out.backward()
        graph = viz.draw(out, named, show_values=True)
        assert titles(graph, "operation") == ["multiply", "sum", "add", "tanh"]
        assert titles(graph, "constant") == []

    def test_constants_that_no_rule_needs(self):
        x, c = torch.tensor(2.0, requires_grad=True), torch.tensor(10.0)
        graph = viz.draw(x + c)
        assert [box.lines for box in graph.picture.boxes if box.kind == "constant"] == [
            ["not kept"]
        ]
        graph = viz.draw(lambda: x + c, show_values=True)  # it is seen while it runs
        assert box_named(graph, "c").lines == ["scalar, float32", "10."]
        assert titles(viz.draw(x + 1), "constant") == titles(viz.draw(x - c), "constant") == [""]
        assert titles(viz.draw(lambda: x + 1), "constant") == ["1"]
        linear = nn.functional.linear(torch.ones(1, 2), torch.ones(3, 2, requires_grad=True))
        assert len(titles(viz.draw(linear), "constant")) == 1  # there is no bias

    def test_all_values_are_shown(self):
        x = torch.tensor(3.0, requires_grad=True)
        y = torch.tensor(2.0, requires_grad=True)
        graph = viz.draw((x * y + x).tanh().sum(), show_values=True)
        shown = [box.lines[1:] for box in graph.picture.boxes if box.kind == "result"]
        assert shown == [["6."], ["9."], ["1."]]
        z = x * y + x
        with torch.no_grad():
            x.mul_(2)  # so the product that was can't be computed again
        graph = viz.draw(z.tanh(), show_values=True)
        assert [box.lines[1:] for box in graph.picture.boxes if box.kind == "result"] == [[], []]

    def test_several_results(self):
        x = torch.arange(6.0).reshape(3, 2).requires_grad_()
        parts = x.unbind(0)
        last = parts[2]
        graph = viz.draw(parts[0] * last)
        assert titles(graph, "operation") == ["unbind", "multiply"]
        assert titles(graph, "result") == ["[0]", "last"]

    def test_several_roots(self):
        x = torch.tensor([1.0, 2.0], requires_grad=True)
        graph = viz.draw([x * 2, x + 1], {"x": x})
        assert len(titles(graph, "output")) == 2
        assert titles(graph, "parameter") == ["x"]

    def test_a_tensor_without_a_graph(self):
        graph = viz.draw(torch.ones(2, 2), show_values=True)
        (box,) = graph.picture.boxes
        assert box.lines == ["2 x 2, float32", "[[1., 1.], [1., 1.]]"]

    def test_a_leaf_alone(self):
        w = torch.ones(3, requires_grad=True)
        assert titles(viz.draw(w, {"w": w}), "parameter") == ["w"]

    def test_own_functions_are_drawn(self):
        class Double(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                return x * 2

            @staticmethod
            def backward(ctx, g):
                return g * 2

        x = torch.ones(2, requires_grad=True)
        assert titles(viz.draw(Double.apply(x).sum()), "operation") == ["Double", "sum"]

    def test_a_leaf_used_often_is_drawn_at_each_use(self):
        w = torch.ones(2, requires_grad=True)
        x = w * 1
        for _ in range(9):
            x = x * w
        graph = viz.draw(x, {"w": w})
        assert titles(graph, "parameter") == ["w"] * 10


class TestModules:
    def model(self):
        return nn.Sequential(nn.Linear(4, 5), nn.Sequential(nn.ReLU(), nn.Linear(5, 3)))

    def test_frames_nest_as_the_modules_do(self):
        model = self.model()
        with record_modules() as calls:
            y = model(torch.randn(2, 4))
        graph = viz.draw(y.sum(), model, modules=calls)
        relu = box_named(graph, "relu")
        assert frame_path(graph, relu) == ["Sequential", "1: Sequential", "0: ReLU"]
        biases = [box for box in graph.picture.boxes if box.title == "bias"]
        assert [frame_path(graph, box) for box in biases] == [
            ["Sequential", "0: Linear"],
            ["Sequential", "1: Sequential", "1: Linear"],
        ]
        assert frame_path(graph, box_named(graph, "sum")) == []
        assert graph.source.count("subgraph cluster_") == 5

    def test_names_come_from_all_kinds_of_params(self):
        model = self.model()
        y = model(torch.randn(2, 4)).sum()
        expected = sorted(name for name, _ in model.named_parameters())
        for params in (model, model.named_parameters(), dict(model.named_parameters())):
            assert sorted(titles(viz.draw(y, params), "parameter")) == expected

    def test_what_is_named_and_learns_nothing_is_an_input_unless_a_module_has_it(self):
        w = torch.randn(4, requires_grad=True)
        module = nn.BatchNorm1d(4)
        frozen = nn.Parameter(torch.ones(4), requires_grad=False)
        out = (torch.ones(4) * w * module.running_var * frozen).sum()
        graph = viz.draw(out, {"frozen": frozen})
        assert titles(graph, "constant") == ["", "module.running_var", "frozen"]
        x = torch.randn(2, 4)
        assert titles(viz.draw((x * w).sum(), {"data": x}), "input") == ["data"]

    def test_names_come_from_the_variables_of_the_caller(self):
        a, b = torch.tensor(2.0, requires_grad=True), torch.tensor(3.0)
        c = a * b
        model = nn.Sequential(nn.Linear(2, 3))
        with record_modules() as calls:
            loss = model(torch.ones(1, 2)).sum() * c
        graph = viz.draw(loss, modules=calls)
        assert titles(graph, "parameter") == ["a", "weight", "bias"]
        assert (titles(graph, "input"), titles(graph, "output")) == (["b"], ["loss"])
        assert "c" in titles(graph, "result")
        assert graph.picture.clusters[0].title == "model: Sequential"
        assert titles(viz.draw(loss, {"weight of all": a}), "parameter")[0] == "weight of all"

    def test_lazy_modules_are_named_when_they_have_something(self):
        model = nn.Sequential(nn.LazyConv2d(3, 2), nn.LazyBatchNorm2d())
        x = torch.tensor(2.0, requires_grad=True)
        assert titles(viz.draw(x * 2), "parameter") == ["x"]
        graph = viz.draw(model, inputs=torch.ones(1, 2, 4, 4))
        assert titles(graph, "parameter") == ["weight", "bias", "weight", "bias"]

    def test_other_variables_of_the_caller_do_no_harm(self):
        class Foreign:
            def named_parameters(self):
                raise AssertionError

        others = Foreign()
        layer = nn.Linear  # the class itself has no parameters either
        x = torch.tensor(2.0, requires_grad=True)
        assert titles(viz.draw(x * 2), "parameter") == ["x"]
        assert hasattr(others, "named_parameters")
        assert hasattr(layer, "named_parameters")

    def test_a_module_called_twice_has_two_frames_and_its_weight_stands_outside(self):
        linear = nn.Linear(3, 3)
        with record_modules() as calls:
            y = linear(linear(torch.randn(1, 3)))
        graph = viz.draw(y.sum(), linear, modules=calls)
        assert [cluster.title for cluster in graph.picture.clusters] == ["Linear", "Linear"]
        assert frame_path(graph, box_named(graph, "weight")) == []


class TestDigraph:
    def test_it_is_one(self):
        out, named = neuron()
        graph = viz.draw(out, named)
        assert isinstance(graph, graphviz.Digraph)
        assert len(re.findall(r"^\tn\d+ \[", graph.source, re.M)) == len(graph.picture.boxes)
        assert graph.source.count(" -> ") == len(graph.picture.arrows)

    def test_kinds_look_different(self):
        out, named = neuron()
        looks = re.findall(
            r'class=(\w+) color="(#\w+)" fillcolor="(#\w+)" shape=(\w+)',
            viz.draw(out, named).source,
        )
        by_kind = {kind: look for kind, *look in looks}
        assert set(by_kind) == {"operation", "parameter", "input", "result", "output"}
        assert len({tuple(look) for look in by_kind.values()}) == 5
        assert by_kind["operation"][-1] == "ellipse"
        assert by_kind["parameter"][-1] == "box"

    def test_directions(self):
        out, named = neuron()
        arrows = len(viz.draw(out, named).picture.arrows)
        assert "dashed color" not in viz.draw(out, named).source
        backward = viz.draw(out, named, direction="backward").source
        assert backward.count(" -> ") == arrows
        assert backward.count("dir=back") == arrows - 1  # none to the constant
        both = viz.draw(out, named, direction="both").source
        assert both.count("constraint=false") == arrows - 1  # none to the constant

    def test_names_are_escaped(self):
        x = torch.ones(2, requires_grad=True)
        graph = viz.draw(x * 2, {'<b>&"': x})
        assert "&lt;b&gt;&amp;" in graph.source
        for engine in ("graphviz-pure", "plain"):
            assert '<b>&"' in "".join(ET.fromstring(svg(graph, engine)).itertext())

    def test_the_line_of_the_program_is_a_hint_without_its_folder(self):
        out, named = neuron()
        box = box_named(viz.draw(out, named), "tanh")
        assert re.fullmatch(r"test_viz\.py:\d+", box.note)

    @pytest.mark.parametrize(
        ("arguments", "error", "message"),
        [
            ({"tensor": 3.0}, TypeError, "expected a tensor"),
            ({"direction": "up"}, ValueError, "direction is 'up'"),
            ({"rankdir": "BT"}, ValueError, "rankdir is 'BT'"),
            ({"params": ["w"]}, TypeError, "found 'w'"),
            ({"params": {"w": 3}}, TypeError, "found"),
        ],
    )
    def test_wrong_arguments(self, arguments, error, message):
        with pytest.raises(error, match=message):
            viz.draw(**{"tensor": torch.ones(2), **arguments})


def svg(graph, engine):
    return output._produce(graph, "svg", engine)


class TestRender:
    @pytest.mark.parametrize("engine", INSTALLED)
    @pytest.mark.parametrize("rankdir", ["TB", "LR"])
    def test_every_engine_draws_every_box(self, engine, rankdir, tmp_path):
        model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))
        with record_modules() as calls:
            y = model(torch.randn(2, 4))
        graph = viz.draw(y.sum(), model, modules=calls, show_values=True, rankdir=rankdir)
        path = viz.render(graph, tmp_path / "new" / "graph.svg", engine=engine)
        root = ET.fromstring(path.read_text())
        assert root.tag == f"{SVG}svg"
        texts = Counter(text.text for text in root.iter(f"{SVG}text"))
        for box in graph.picture.boxes:
            for line in [box.title, *box.lines]:
                assert not line or texts[line] >= 1, line
        for cluster in graph.picture.clusters:
            assert texts[cluster.title] >= 1
        boxes = [g for g in root.iter(f"{SVG}g") if g.get("class", "").split()[-1:] != ["cluster"]]
        kinds = Counter(
            kind
            for g in boxes
            for kind in g.get("class", "").split()
            if kind not in ("node", "graph", "edge")
        )
        assert kinds == Counter(box.kind for box in graph.picture.boxes)
        edges = [e for e in root.iter() if "edge" in e.get("class", "").split()]
        assert len(edges) == len(graph.picture.arrows)

    @pytest.mark.parametrize("direction", ["forward", "backward", "both"])
    def test_plain_directions(self, direction):
        out, named = neuron()
        graph = viz.draw(out, named, direction=direction)
        text = svg(graph, "plain").decode()
        arrows = len(graph.picture.arrows)
        assert text.count("url(#forward)") == (0 if direction == "backward" else arrows)
        assert text.count("url(#backward)") == (0 if direction == "forward" else arrows - 1)

    def test_plain_boxes_do_not_overlap(self):
        model = nn.Sequential(*(nn.Linear(4, 4) for _ in range(5)))
        x = torch.randn(2, 4)
        y = model(x) + model[0](x) * model[1](x)
        root = ET.fromstring(svg(viz.draw(y.sum(), model, show_values=True), "plain"))
        spans = []
        for group in root.iter(f"{SVG}g"):
            shape = group.find(f"{SVG}rect")
            if shape is not None:
                x0, y0, w, h = (float(shape.get(k)) for k in ("x", "y", "width", "height"))
                spans.append((x0, y0, x0 + w, y0 + h))
            else:
                shape = group.find(f"{SVG}ellipse")
                cx, cy, rx, ry = (float(shape.get(k)) for k in ("cx", "cy", "rx", "ry"))
                spans.append((cx - rx, cy - ry, cx + rx, cy + ry))
        for i, a in enumerate(spans):
            for b in spans[:i]:
                assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]

    def test_an_empty_picture_can_be_drawn(self):
        assert ET.fromstring(svg(viz.draw([]), "plain")).tag == f"{SVG}svg"

    def test_without_any_program_it_is_plain(self, monkeypatch, tmp_path):
        monkeypatch.setattr(output, "_program", lambda engine: None)
        out, named = neuron()
        graph = viz.draw(out, named)
        path = viz.render(graph, tmp_path / "graph.svg")
        assert path.read_bytes() == svg(graph, "plain")
        assert graph._repr_svg_() == path.read_text()
        assert graph._repr_mimebundle_() == {"image/svg+xml": path.read_text()}
        with pytest.raises(RuntimeError, match="the format png needs Graphviz"):
            viz.render(graph, tmp_path / "graph.png")
        with pytest.raises(RuntimeError, match="not made by draw needs Graphviz"):
            viz.render(graphviz.Digraph(), tmp_path / "graph.svg")
        with pytest.raises(RuntimeError, match="dot is not installed"):
            viz.render(graph, tmp_path / "graph.svg", engine="dot")

    @pytest.mark.parametrize("broken", ["no such program", sys.executable])
    def test_where_the_programs_are_broken_it_is_plain(self, broken, monkeypatch, tmp_path):
        monkeypatch.setattr(output, "_program", lambda engine: broken)
        graph = viz.draw(*neuron())
        assert viz.render(graph, tmp_path / "graph.svg").read_bytes() == svg(graph, "plain")
        for path, engine in (("graph.svg", "dot"), ("graph.png", None)):
            with pytest.raises((RuntimeError, OSError), match=r"failed|No such file"):
                viz.render(graph, tmp_path / "new" / path, engine=engine)
        assert not (tmp_path / "new").exists()

    def test_png_and_source(self, tmp_path):
        out, named = neuron()
        png = viz.render(out, tmp_path / "graph.png", engine="graphviz-pure", params=named)
        assert png.read_bytes().startswith(b"\x89PNG")
        source = viz.render(out, tmp_path / "graph.dot")
        assert source.read_text() == viz.draw(out).source

    def test_foreign_graphs(self, tmp_path):
        graph = graphviz.Digraph()
        graph.edge("a", "b")
        path = viz.render(graph, tmp_path / "g.svg", engine="graphviz-pure")
        assert "<svg" in path.read_text()

    def test_what_the_program_says_is_passed_on(self, tmp_path):
        with pytest.raises(RuntimeError, match="graphviz-pure failed"):
            viz.render(graphviz.Source("digraph {"), tmp_path / "g.svg", engine="graphviz-pure")

    def test_wrong_arguments(self, tmp_path):
        out, _ = neuron()
        with pytest.raises(ValueError, match="no ending"):
            viz.render(out, tmp_path / "graph")
        with pytest.raises(ValueError, match="engine is 'paint'"):
            viz.render(out, tmp_path / "graph.svg", engine="paint")
        with pytest.raises(TypeError, match="expected a drawing or a tensor, got int"):
            viz.render(3, tmp_path / "graph.svg")
        with pytest.raises(TypeError, match="rankdir can only be given with a tensor"):
            viz.render(viz.draw(out), tmp_path / "graph.svg", rankdir="LR")
        assert list(tmp_path.iterdir()) == []
