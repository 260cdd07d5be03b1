"""What drawings show when asked: folds, rules, order, changes, trouble; modules and optimizer steps."""

import copy
import re
import xml.etree.ElementTree as ET

import pytest

import tinygrad_like as torch
from tests.drawings import (
    INSTALLED,
    SVG,
    boxes,
    loss_of,
    named,
    network,
    neuron,
    titles,
    toned,
)
from tinygrad_like import nn, viz
from tinygrad_like.graph import AccumulateGrad, Pick, reachable
from tinygrad_like.viz import output, subjects
from tinygrad_like.viz.formulas import formula_of
from tinygrad_like.viz.styles import STYLES


def engine_order(loss):
    """Return operations and leaves in the order in which a real backward comes to them."""
    met = []
    nodes = [node for node in reachable([loss.node]) if not isinstance(node, Pick)]
    handles = [node.register_prehook(lambda g, node=node: met.append(node)) for node in nodes]
    loss.backward(retain_graph=True)
    for handle in handles:
        handle.remove()
    return met


class TestFolding:
    def test_frames_nest_no_deeper_and_the_rest_is_one_box_each(self):
        model = network()
        loss, calls = loss_of(model, torch.randn(5, 3))
        for depth, folded in (
            (0, ["Sequential"]),
            (1, ["0: Linear", "1: Block", "2: Block", "3: Linear"]),
            (2, ["norm: LayerNorm", "inner: Sequential"] * 2),
        ):
            graph = viz.draw(loss, model, modules=calls, depth=depth)
            assert titles(graph, "group") == folded
            used = graph.picture.occupied()
            assert max((graph.picture.clusters[i].depth for i in used), default=-1) < depth
            for source, target in graph.picture.arrows:
                assert source < target

    def test_every_operation_and_parameter_is_counted_once(self):
        model = network()
        loss, calls = loss_of(model, torch.randn(5, 3))
        full = viz.draw(loss, model, modules=calls)
        for depth in (0, 1, 2):
            graph = viz.draw(loss, model, modules=calls, depth=depth)
            count, leaves = len(boxes(graph, "operation")), len(boxes(graph, "parameter"))
            for box in boxes(graph, "group"):
                count += sum(int(n) for n in re.findall(r"(\d+) [a-z]", box.lines[0]))
                leaves += sum(int(n) for n in re.findall(r"(\d+) parameter", " ".join(box.lines)))
            assert count == len(boxes(full, "operation"))
            assert leaves == len(boxes(full, "parameter")) == len(list(model.parameters()))

    def test_what_flows_between_folded_modules_is_shown(self):
        model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
        out, calls = loss_of(model, torch.randn(5, 3))
        graph = viz.draw(out, model, modules=calls, depth=1)
        numbers = {box.title: i for i, box in enumerate(graph.picture.boxes)}
        (between,) = [t for s, t in graph.picture.arrows if s == numbers["0: Linear"]]
        assert graph.picture.boxes[between].lines == ["5 x 4, float32"]
        assert (between, numbers["1: Tanh"]) in graph.picture.arrows

    def test_a_shared_weight_stays_outside(self):
        first, second = nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)
        second.weight = first.weight
        model = nn.Sequential(first, second)
        loss, calls = loss_of(model, torch.randn(2, 3))
        graph = viz.draw(loss, model, modules=calls, depth=1)
        number = graph.picture.boxes.index(boxes(graph, "parameter")[0])
        ends = [graph.picture.boxes[t].title for s, t in graph.picture.arrows if s == number]
        assert ends == ["0: Linear", "1: Linear"]

    @pytest.mark.parametrize("depth", [-1, 1.5])
    def test_wrong_depth(self, depth):
        with pytest.raises(ValueError, match=f"depth is {depth}"):
            viz.draw(torch.ones(2), depth=depth)


class TestWords:
    def test_rules_are_the_formulas_of_the_operands_that_get_a_gradient(self):
        out, params = neuron()
        graph = viz.draw(out, params, show_rules=True)
        nodes = [n for n in reachable([out.node]) if not isinstance(n, AccumulateGrad)]
        for node, box in zip(nodes, boxes(graph, "operation"), strict=True):
            wanted = [formula_of(node, i) for i, p in enumerate(node.parents) if p is not None]
            assert toned(box, "rule") == wanted
        assert toned(named(graph, "multiply"), "rule") == ["d(x*y)/dx = g*y"]

    def test_a_long_rule_is_wrapped_without_loss(self):
        x = torch.randn(3, 4, requires_grad=True)
        out = nn.functional.layer_norm(x, (4,)).sum()
        lines = toned(named(viz.draw(out, show_rules=True), "layer_norm"), "rule")
        assert max(map(len, lines)) <= 60
        assert min(map(len, lines)) > 20  # no word stands alone
        words = formula_of(out.grad_fn.parents[0], 0).replace(";", "").split()
        assert " ".join(lines).split() == words

    def test_numbers_are_the_order_of_the_engine(self):
        model = network()
        loss, calls = loss_of(model, torch.randn(5, 3))
        graph = viz.draw(loss, model, modules=calls, show_order=True)
        shown = {}
        for box in boxes(graph, "operation", "parameter"):
            (text,) = toned(box, "order")
            shown[int(text.removeprefix("backward "))] = box
        met = engine_order(loss)
        assert sorted(shown) == list(range(1, len(met) + 1))
        names = {p.node: name.rpartition(".")[2] for name, p in model.named_parameters()}
        for number, node in enumerate(met, 1):
            assert shown[number].title == (names.get(node) or node.op.name)

    def test_a_folded_module_tells_from_when_to_when(self):
        model = network(1)
        loss, calls = loss_of(model, torch.randn(5, 3))
        graph = viz.draw(loss, model, modules=calls, depth=1, show_order=True)
        assert [toned(box, "order") for box in boxes(graph, "group")] == [
            ["backward 8"],
            ["backward 4 to 7"],
            ["backward 3"],
        ]

    def test_saved_results_are_those_on_the_tape(self):
        x = torch.randn(3, requires_grad=True)
        y = x + 1
        z = (y.exp() * y).sum()
        kinds = [box.kind for box in viz.draw(z, show_saved=True).picture.boxes]
        assert kinds.count("saved") == 2  # y and exp(y); the product is not needed
        assert kinds.count("result") == 1
        assert "saved" not in {box.kind for box in viz.draw(z).picture.boxes}

    def test_shapes_at_the_arrows(self):
        out, params = neuron()
        graph = viz.draw(out, params, results="edges", direction="both")
        assert not boxes(graph, "result")
        assert [box.lines for box in boxes(graph, "flow")] == [["2"], ["scalar"], ["scalar"]]
        assert graph.source.count("arrowhead=none") == 2 * 3  # an arrow each way goes through
        plain = output._produce(graph, "svg", "plain").decode()
        shapes = [g for g in ET.fromstring(plain).iter(f"{SVG}g") if g.get("class") == "flow"]
        assert all(g.find(f"{SVG}rect") is None for g in shapes)
        assert len(shapes) == 3

    def test_a_legend_tells_the_kinds_that_are_there(self):
        out, params = neuron()
        graph = viz.draw(out, params, legend=True)
        (frame,) = [i for i, c in enumerate(graph.picture.clusters) if c.title == "what is what"]
        told = [box for box in graph.picture.boxes if box.cluster == frame]
        kinds = ["operation", "parameter", "input", "result", "output"]
        assert [box.kind for box in told] == kinds
        assert [box.title for box in told] == [subjects.MEANINGS[kind] for kind in kinds]
        assert graph.source.count("style=invis") == len(kinds) - 1

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"style": "neon"}, "style is 'neon', expected 'light', 'dark' or 'print'"),
            ({"results": "none"}, "results is 'none', expected 'boxes' or 'edges'"),
        ],
    )
    def test_wrong_options(self, options, message):
        with pytest.raises(ValueError, match=message):
            viz.draw(torch.ones(2), **options)


class TestModule:
    def test_it_is_run_and_its_inputs_are_named(self):
        model = network(1)
        x = torch.randn(5, 3)
        graph = viz.draw(model, inputs=x)
        assert titles(graph, "input") == ["input"]
        assert titles(graph, "output") == [""]
        assert boxes(graph, "output")[0].lines == ["5 x 2, float32"]
        assert graph.picture.clusters[0].title == "Sequential"
        assert x.node is None
        assert all(p.grad is None for p in model.parameters())

    def test_several_inputs_by_position_and_by_name(self):
        layer = nn.Bilinear(2, 3, 4)
        a, b = torch.randn(5, 2), torch.randn(5, 3)
        for inputs in ((a, b), {"input2": b, "input1": a}):
            assert sorted(titles(viz.draw(layer, inputs=inputs), "input")) == ["input1", "input2"]

    def test_one_tensor_given_twice_is_one_input(self):
        attention, x = nn.MultiheadAttention(4, 2, batch_first=True), torch.randn(1, 3, 4)
        assert titles(viz.draw(attention, inputs=(x, x, x)), "input") == ["query, key, value"]

    def test_integers_are_inputs_too(self):
        layer = nn.Embedding(10, 3)
        graph = viz.draw(layer, inputs=torch.tensor([1, 2]))
        assert titles(graph, "input") == ["input"]

    def test_buffers_and_random_numbers_stay(self):
        model = nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(0.5))
        before = copy.deepcopy(model.state_dict())
        torch.manual_seed(3)
        expected = torch.rand(4)
        torch.manual_seed(3)
        viz.draw(model, inputs=torch.randn(8, 3, generator=torch.Generator().manual_seed(1)))
        assert torch.equal(torch.rand(4), expected)
        for name, value in model.state_dict().items():
            assert torch.equal(value, before[name]), name

    def test_a_module_that_writes_into_its_input(self):
        model = nn.Sequential(nn.ReLU(inplace=True), nn.Linear(3, 2))
        assert titles(viz.draw(model, inputs=torch.randn(2, 3)), "operation") == ["linear"]

    def test_without_inputs(self):
        with pytest.raises(TypeError, match="a Module needs inputs="):
            viz.draw(nn.Linear(2, 2))
        with pytest.raises(TypeError, match="inputs are for a Module, got Tensor"):
            viz.draw(torch.ones(2), inputs=torch.ones(2))


class TestFunction:
    def test_it_is_run_and_its_modules_are_frames(self):
        model, x = network(1), torch.randn(5, 3)
        graph = viz.draw(lambda: nn.functional.mse_loss(model(x), torch.zeros(5, 2)))
        assert graph.picture.clusters[0].title == "model: Sequential"
        assert titles(graph, "input") == ["x"]
        assert titles(graph, "parameter")[:2] == ["weight", "bias"]
        assert titles(graph, "operation")[-1] == "mse_loss"

    def test_what_it_returns_must_be_drawable(self):
        with pytest.raises(TypeError, match=r"a function that computes one, .* got int"):
            viz.draw(lambda: 3)


class TestTrouble:
    def test_nan_and_infinities_are_counted(self):
        x = torch.tensor([0.0, -1.0, 4.0], requires_grad=True)
        graph = viz.draw(torch.log(x).sum(), {"x": x}, highlight=True)
        (between,) = boxes(graph, "result")
        assert toned(between, "alarm") == ["1 of 3 nan", "1 of 3 inf"]
        assert between.marks == ("nan", "inf")
        assert toned(named(graph, "x"), "alarm") == ["gradient: 1 of 3 inf"]
        assert toned(boxes(graph, "output")[0], "alarm") == ["nan"]

    def test_a_dead_operation_and_the_zero_gradients_before_it(self):
        w = torch.tensor([-1.0, -2.0], requires_grad=True)
        b = torch.tensor([1.0, 1.0], requires_grad=True)
        graph = viz.draw((torch.relu(w * 2) + b).sum(), {"w": w, "b": b}, highlight=True)
        assert toned(named(graph, "relu"), "alarm") == ["dead: passes no gradient on"]
        assert named(graph, "relu").marks == ("dead",)
        assert named(graph, "w").marks == ("zero",)
        assert named(graph, "b").marks == ()
        assert w.grad is None

    def test_dead_units(self):
        x = torch.tensor([[1.0, -1.0, 2.0], [3.0, -2.0, -1.0]], requires_grad=True)
        graph = viz.draw(torch.relu(x).sum(), highlight=True)
        assert toned(named(graph, "relu"), "alarm") == ["1 of 3 units dead"]

    @pytest.mark.parametrize(("factor", "mark"), [(10.0, "exploding"), (0.01, "vanishing")])
    def test_gradients_that_grow_or_shrink_on_the_way(self, factor, mark):
        x = torch.tensor([1.0], requires_grad=True)
        y = x
        for _ in range(5):
            y = y * factor
        graph = viz.draw(y.sum(), {"x": x}, highlight=True)
        assert named(graph, "x").marks == (mark,)
        assert f"{factor**5:.1e} times" in toned(named(graph, "x"), "alarm")[0]
        assert boxes(graph, "output")[0].marks == ()

    def test_sound_graphs_have_no_marks(self):
        loss, calls = loss_of(network(), torch.randn(64, 3))
        graph = viz.draw(loss, modules=calls, highlight=True)
        marked = [box.title for box in graph.picture.boxes if box.marks]
        assert set(marked) <= {"relu"}
        assert graph.picture.captions == []

    def test_a_folded_module_tells_what_is_inside(self):
        model = network(1)
        with torch.no_grad():
            model[1].inner[0].bias[:] = -100.0
        loss, calls = loss_of(model, torch.randn(4, 3))
        graph = viz.draw(loss, model, modules=calls, depth=1, highlight=True)
        assert "dead" in named(graph, "1: Block").marks
        assert "zero" in named(graph, "1: Block").marks
        assert named(graph, "2: Linear").marks == ()

    def test_of_a_freed_graph_the_leaves_are_left(self):
        x = torch.tensor([-1.0], requires_grad=True)
        y = torch.relu(x).sum()
        y.backward()
        graph = viz.draw(y, {"x": x}, highlight=True)
        assert named(graph, "x").marks == ("zero",)
        (caption,) = graph.picture.captions
        assert "freed" in caption

    @pytest.mark.parametrize("style", sorted(STYLES))
    @pytest.mark.parametrize("engine", INSTALLED)
    def test_hot_and_cold_have_thick_borders_of_different_kinds(self, style, engine):
        x = torch.tensor([-1.0, -2.0], requires_grad=True)
        w = torch.tensor([float("inf"), 1.0], requires_grad=True)
        graph = viz.draw((torch.relu(x) + w).sum(), {"x": x, "w": w}, highlight=True, style=style)
        root = ET.fromstring(output._produce(graph, "svg", engine))
        found = {}
        for g in root.iter(f"{SVG}g"):
            words = (g.get("class") or "").split()
            if "parameter" in words:
                shape = next(e for e in g.iter() if e.get("stroke-width"))
                found[words[-2]] = shape
        assert set(found) == {"inf", "zero"}
        assert all(float(e.get("stroke-width")) == 3 for e in found.values())
        assert found["zero"].get("stroke-dasharray")
        assert not found["inf"].get("stroke-dasharray")
        look = STYLES[style]
        assert found["zero"].get("stroke") == look.cold or look.cold == "#000000"
        assert found["inf"].get("stroke") == look.hot or look.hot == "#000000"


class TestDifference:
    def test_changes_are_exact(self):
        w = torch.tensor([3.0, 4.0], requires_grad=True)
        b = torch.tensor([1.0, 1.0], requires_grad=True)
        before = viz.snapshot((w * w + b).sum())
        with torch.no_grad():
            w += torch.tensor([0.0, 0.5])
        graph = viz.draw((w * w + b).sum(), {"w": w, "b": b}, compare=before)
        assert toned(named(graph, "w"), "change") == [
            "value by 10%, at most 0.5",  # 0.5 of a norm of 5
            "gradient by 10%, at most 1",
        ]
        assert named(graph, "b").marks == ()
        (out,) = boxes(graph, "output")
        assert toned(out, "change") == [f"value by {100 * 4.25 / 27:.2g}%, at most 4.2"]
        assert graph.picture.captions == ["4 of 5 values changed and 1 of 5 gradients changed"]
        assert w.grad is None

    def test_a_snapshot_does_not_change_with_the_parameters(self):
        w = torch.tensor([2.0], requires_grad=True)
        taken = viz.snapshot((w * w).sum())
        with torch.no_grad():
            w.mul_(5)
        assert taken.leaves[0].values[0].tolist() == [2.0]
        assert taken.leaves[0].gradients[0].tolist() == [4.0]
        assert [part.name for part in taken.operations] == ["multiply", "sum"]

    def test_two_tensors(self):
        def loss(value):
            x = torch.tensor([value], requires_grad=True)
            return (x * x).sum()

        graph = viz.draw(loss(3.0), compare=loss(2.0))
        assert toned(boxes(graph, "parameter")[0], "change") == [
            "value by 50%, at most 1",
            "gradient by 50%, at most 2",
        ]
        same = viz.draw(loss(2.0), compare=loss(2.0))
        assert all(not box.marks for box in same.picture.boxes)

    def test_overwritten_values_are_not_compared(self):
        w = torch.tensor([2.0], requires_grad=True)
        before = (w * w).sum()
        with torch.no_grad():
            w.mul_(5)
        graph = viz.draw((w * w).sum(), {"w": w}, compare=before)
        assert not any("value" in line for line in toned(named(graph, "w"), "change"))

    def test_operations_that_came_and_went(self):
        x = torch.tensor([1.0, 2.0], requires_grad=True)
        before = viz.snapshot(x.exp().sin().sum())
        graph = viz.draw(x.exp().tanh().square().sum(), compare=before)
        fresh = [box.title for box in boxes(graph, "operation") if "new" in box.marks]
        assert fresh == ["tanh", "square"]
        assert graph.picture.captions[1] == "2 operations are new, 1 are gone"

    def test_more_change_is_a_deeper_colour(self):
        w = torch.tensor([1.0, 1.0], requires_grad=True)
        v = torch.tensor([1.0, 1.0], requires_grad=True)
        before = viz.snapshot((w + v).sum())
        with torch.no_grad():
            w.mul_(1.1)
            v.mul_(1.5)
        graph = viz.draw((w + v).sum(), {"w": w, "v": v}, compare=before)
        assert 0 < named(graph, "w").heat < named(graph, "v").heat <= 1
        look = STYLES["light"]
        for name in "wv":
            assert look.warmed(named(graph, name).heat, changed=True) in graph.source

    def test_wrong_arguments(self):
        with pytest.raises(TypeError, match="compare must be a tensor"):
            viz.draw(torch.ones(2, requires_grad=True), compare=3)
        with pytest.raises(TypeError, match="snapshot: expected a tensor, got int"):
            viz.snapshot(3)
