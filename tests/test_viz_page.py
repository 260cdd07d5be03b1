"""What a page of `viz.html` holds is what the engine does, and all in one file."""

import base64
import json
import re
import sys

import numpy as np
import pytest

import tinygrad_like as torch
from tests.pages import (
    HOSTILE,
    NUMBERS,
    hostile,
    loop,
    named,
    network,
    neuron,
    numbers,
    numbers_of,
    told,
)
from tinygrad_like import nn, viz
from tinygrad_like.graph import AccumulateGrad, Pick, Traced, reachable
from tinygrad_like.modes import departed, thread_mode
from tinygrad_like.viz import grouping, webpage
from tinygrad_like.viz.digest import MISSING, digest, with_heat
from tinygrad_like.viz.picture import Names


class TestData:
    def test_every_operation_and_leaf_is_there_once(self, tmp_path):
        out, params = neuron()
        page = told(viz.html(out, tmp_path / "step.html", params=params))
        nodes = reachable([out.node])
        kinds = [box["kind"] for box in page["boxes"]]
        assert kinds.count("operation") == sum(not isinstance(n, AccumulateGrad) for n in nodes)
        assert kinds.count("parameter") == 2
        assert named(page, "x")["kind"] == "constant"
        for box in page["boxes"]:
            for source, index in box["operands"]:
                assert source < page["boxes"].index(box)
                assert index == 0

    @pytest.mark.parametrize("retained", [False, True])
    def test_values_and_gradients_are_the_engine_s(self, tmp_path, retained):
        torch.manual_seed(1)
        x = torch.randn(3, 4, requires_grad=True)
        w = torch.randn(4, 5, requires_grad=True)
        made = [x @ w]
        made.append(made[-1].relu())
        made.append(made[-1] * made[0])
        made.append(made[-1].transpose(0, 1))
        made.append(made[-1].reshape(3, 5))
        made.append(made[-1] - made[0])
        made += made[-1].split([2, 3], 1)
        made.append(made[-1].max(1)[0])
        made.append(made[-3].sum() + made[-1].logsumexp(0))
        for tensor in made:
            if retained:
                tensor.retain_grad()
        page = told(viz.html(made[-1], tmp_path / "step.html"))
        assert all(tensor._grad is None for tensor in [x, w, *made])
        for tensor in made:
            tensor.retain_grad()
        made[-1].backward()
        by_tick = {box.get("tick"): box for box in page["boxes"]}
        for tensor in made:
            node, index = tensor.node, 0
            if isinstance(node, Pick):
                node, index = node.parents[0], node.index
            result = by_tick[node.tick]["results"][index]
            assert result["shape"] == list(tensor.shape)
            assert result["dtype"] == "float32"
            for kind, array in (("value", tensor.array), ("grad", tensor.grad.array)):
                assert np.array_equal(numbers(result[kind]).astype(np.float32), array.ravel()), kind
        leaves = [box for box in page["boxes"] if box["kind"] == "parameter"]
        assert [box["name"] for box in leaves] == ["x", "w"]  # as the variables here
        for leaf, tensor in zip(leaves, (x, w), strict=True):
            assert np.array_equal(
                numbers(leaf["results"][0]["grad"]).astype(np.float32), tensor.grad.array.ravel()
            )

    def test_nothing_changes(self, tmp_path):
        model, loss, calls = network()
        model[0].norm.weight.grad = torch.ones(8)
        viz.html(loss, tmp_path / "step.html", params=model, modules=calls)
        assert model[0].norm.weight.grad.tolist() == [1.0] * 8
        assert model[2].weight.grad is None
        loss.backward()  # nothing was freed
        assert model[2].weight.grad is not None

    def test_the_order_is_the_engine_s(self, tmp_path):
        model, loss, calls = network()
        page = told(viz.html(loss, tmp_path / "step.html", params=model, modules=calls))
        order = []
        for node in reachable([loss.node]):
            if not isinstance(node, AccumulateGrad):
                node.register_prehook(lambda _, tick=node.tick: order.append(tick))
        for name, parameter in model.named_parameters():
            parameter.register_post_accumulate_grad_hook(lambda _, name=name: order.append(name))
        loss.backward()
        steps, boxes = page["steps"], page["boxes"]
        forward = [boxes[s["box"]]["tick"] for s in steps if s["do"] == "compute"]
        assert forward == sorted(forward)
        start = [s["do"] for s in steps].index("start")
        assert start == len(forward)
        played = [
            boxes[s["box"]].get("tick", boxes[s["box"]]["name"]) for s in steps[start + 1 : -1]
        ]
        assert played == order
        assert steps[-1] == {"do": "end"}

    def test_gradients_arrive_and_are_added_up(self, tmp_path):
        out, params = neuron()
        page = told(viz.html(out, tmp_path / "step.html", params=params))
        (tanh,) = named(page, "tanh")["results"]
        first, second = tanh["arrivals"]
        assert page["boxes"][first["from"]]["name"] == "add"
        assert page["boxes"][second["from"]]["name"] == "multiply"
        assert first["step"] < second["step"]
        assert "total" not in first
        total = numbers(first["gradient"]) + numbers(second["gradient"])
        assert np.allclose(numbers(second["total"]), total, rtol=1e-6)
        assert second["total"]["values"] == tanh["grad"]["values"]
        for box_id, box in enumerate(page["boxes"]):
            for index, result in enumerate(box["results"]):
                for arrival in result.get("arrivals", ()):
                    assert [box_id, index] in page["steps"][arrival["step"]]["to"]

    def test_sums_round_as_the_engine_s(self, tmp_path):
        # A factor that is used twice gets two contributions, each added to what was there.
        torch.manual_seed(0)
        x = torch.randn(50, requires_grad=True)
        out = (x * x * 0.7 + torch.exp(x)).sum() + (x / 3).sum() + (2.5**x).sum()
        found = webpage.Tale([out], Names.of({"x": x}), []).story.gradients[x.node, 0]
        out.backward()
        assert np.array_equal(found, x.grad.numpy())
        assert found.dtype == np.float32

    def test_hooks_have_their_say(self, tmp_path):
        x = torch.tensor(3.0, requires_grad=True)
        y = x * x
        y.register_hook(lambda g: g * 10)
        page = told(viz.html(y + 1, tmp_path / "step.html", params={"x": x}))
        assert numbers(named(page, "multiply")["results"][0]["grad"]) == [10]
        assert numbers(named(page, "x")["results"][0]["grad"]) == [60]

    def test_numbers_are_named_by_what_they_are(self, tmp_path):
        x = torch.tensor(3.0, requires_grad=True)
        page = told(viz.html(x * (1 / 3) * 2, tmp_path / "step.html"))
        constants = {box["name"]: box for box in page["boxes"] if box["kind"] == "constant"}
        assert set(constants) == {"0.3333", "2"}
        assert numbers(constants["0.3333"]["results"][0]["value"]) == [1 / 3]

    def test_what_hooks_packed_is_shown(self, tmp_path):
        x = torch.tensor([1.0, 2.0], requires_grad=True)
        with torch.autograd.graph.saved_tensors_hooks(lambda t: t.numpy(), torch.from_numpy):
            y = torch.exp(x).sum()
        page = told(viz.html(y, tmp_path / "step.html", params={"x": x}))
        grad = numbers(named(page, "x")["results"][0]["grad"])
        assert np.allclose(grad, np.exp([1.0, 2.0]))

    def test_an_empty_array(self, tmp_path):
        x = torch.ones(0, 3, requires_grad=True)
        page = told(viz.html((x * 2).sum(), tmp_path / "step.html", params={"x": x}))
        assert named(page, "x")["results"][0]["grad"] == {"size": 0, "values": []}

    def test_the_caller_s_variables_are_names(self, tmp_path):
        rate = torch.tensor(0.5, requires_grad=True)
        data = torch.tensor([1.0, 2.0])
        scaled = data * rate
        page = told(viz.html(scaled.sum(), tmp_path / "step.html", params={"r": rate}))
        assert named(page, "r")["kind"] == "parameter"
        assert named(page, "data")["kind"] == "constant"
        assert named(page, "multiply")["called"] == "scaled"
        assert named(page, "sum")["called"] is None

    def test_rules_and_lines(self, tmp_path):
        x = torch.tensor(3.0, requires_grad=True)
        y = torch.tanh(x)  # the line that is shown
        page = told(viz.html(y, tmp_path / "step.html"))
        box = named(page, "tanh")
        place = page["places"][box["place"]]
        assert place["file"].endswith("test_viz_page.py")
        assert "the line that is shown" in place["code"][place["line"] - place["first"]]
        (rule,) = page["rules"][box["rule"]]
        assert "tanh(x)" in rule["formula"]
        assert "out" in rule["code"]
        assert box["label"] == "TanhBackward0"

    def test_modules_are_frames(self, tmp_path):
        model, loss, calls = network(1)
        page = told(viz.html(loss, tmp_path / "step.html", params=model, modules=calls))

        def path(box):
            found, frame = [], box["frame"]
            while frame is not None:
                found.append(page["frames"][frame]["title"])
                frame = page["frames"][frame]["parent"]
            return found[::-1]

        assert path(named(page, "gelu")) == [
            "Sequential",
            "0: Block",
            "inner: Sequential",
            "1: GELU",
        ]
        assert path(named(page, "0.norm.bias"))[-1] == "norm: LayerNorm"
        assert path(named(page, "cross_entropy")) == []

    def test_a_module_is_run(self, tmp_path):
        torch.manual_seed(0)
        model = nn.Linear(3, 2)
        x = torch.randn(4, 3)
        for inputs in (x, (x,), {"input": x}):
            page = told(viz.html(model, tmp_path / "step.html", inputs))
            result = named(page, "linear")["results"][0]
            assert np.allclose(numbers(result["value"]), model(x).detach().numpy().ravel())
            assert numbers(result["grad"]).tolist() == [1.0] * 8
            assert named(page, "input")["results"][0]["shape"] == [4, 3]
        assert model.weight.grad is None

    def test_an_own_function(self, tmp_path):
        class Cube(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                ctx.save_for_backward(x)
                return x**3

            @staticmethod
            def backward(ctx, g):
                return 3 * ctx.saved_tensors[0] ** 2 * g

        x = torch.tensor(2.0, requires_grad=True)
        page = told(viz.html(Cube.apply(x), tmp_path / "step.html", params={"x": x}))
        assert numbers(named(page, "x")["results"][0]["grad"]) == [12]
        assert any("saved_tensors" in rule["code"] for rules in page["rules"] for rule in rules)

    def test_what_was_overwritten_is_not_taken_for_the_value(self, tmp_path):
        w = torch.tensor([1.0, 2.0], requires_grad=True)
        b = torch.tensor([1.0, 1.0], requires_grad=True)
        y = w + b
        with torch.no_grad():
            w.add_(1.0)
        page = told(viz.html(y.sum() + 0, tmp_path / "step.html"))
        adds = [box for box in page["boxes"] if box["name"] == "add"]
        assert adds[0]["results"][0]["value"] is None

    def test_refusals(self, tmp_path):
        path = tmp_path / "step.html"
        out, _ = neuron()
        out.backward()
        with pytest.raises(RuntimeError, match="freed by the first backward"):
            viz.html(out, path)
        with pytest.raises(RuntimeError, match="there is no graph to show"):
            viz.html(torch.ones(2), path)
        with pytest.raises(
            TypeError, match="expected a tensor or a list of them, a function that computes one"
        ):
            viz.html(3, path)
        with pytest.raises(TypeError, match="give Linear inputs to run it with"):
            viz.html(nn.Linear(2, 2), path)
        with pytest.raises(TypeError, match="inputs are for a Module"):
            viz.html(neuron()[0], path, torch.ones(2))
        assert not path.exists()


def watched(make):
    """Return what `make` does, and the value of each result that a function returned meanwhile."""
    values = {}

    def watch(frame, event, result):
        if event == "return":
            for tensor in result if isinstance(result, tuple) else (result,):
                node = getattr(tensor, "node", None) if isinstance(tensor, Traced) else None
                if isinstance(node, Pick):
                    values.setdefault((node.parents[0], node.index), tensor.array.copy())
                elif node is not None:
                    values.setdefault((node, 0), tensor.array.copy())

    sys.setprofile(watch)
    try:
        out = make()
    finally:
        sys.setprofile(None)
    return out, values


class TestWatched:
    """Given a function, a page knows what the tape doesn't keep."""

    def test_all_values_and_constants_are_known(self, tmp_path):
        a = torch.tensor(3.0, requires_grad=True)
        bias = torch.tensor([1.0, 2.0])

        def compute():
            return (2 - (a + 0.5) + bias - 7).sum()

        shown = told(viz.html(compute, tmp_path / "step.html", params={"a": a, "bias": bias}))
        values = {
            box["name"]: numbers(box["results"][0]["value"]).tolist() for box in shown["boxes"]
        }
        assert values["0.5"] == [0.5]
        assert values["bias"] == [1.0, 2.0]
        assert {"2", "7"} <= set(values)
        assert values["sum"] == [-14.0]
        subtract = [box for box in shown["boxes"] if box["name"] in ("subtract", "rsub")]
        found = [numbers(box["results"][0]["value"]).tolist() for box in subtract]
        assert found[-1] == [-7.5, -6.5]
        # Without, there are places for what is not known.
        unwatched = told(viz.html(compute(), tmp_path / "plain.html"))["boxes"]
        assert len(unwatched) == len(shown["boxes"])
        constants = [box["results"][0] for box in unwatched if box["kind"] == "constant"]
        assert [(found["value"], found["shape"]) for found in constants] == [(None, None)] * 4
        assert any(r["value"] is None for b in unwatched for r in b["results"] if b["operands"])

    def test_values_are_those_before_a_write(self, tmp_path):
        w = torch.tensor([1.0, 2.0], requires_grad=True)

        def compute():
            y = w + 1
            y.add_(10)
            y[0] = 5.0
            return (y - 1).sum()

        shown = told(viz.html(compute, tmp_path / "step.html"))
        made = [box for box in shown["boxes"] if box["kind"] == "operation"]
        found = [numbers(box["results"][0]["value"]).tolist() for box in made]
        assert found == [[2.0, 3.0], [12.0, 13.0], [5.0, 13.0], [4.0, 12.0], [16.0]]

    def test_modules_inside_are_frames(self, tmp_path):
        model = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
        x = torch.ones(2, 3)
        shown = told(viz.html(lambda: model(x).sum() - 1, tmp_path / "step.html", params=model))
        assert [frame["title"] for frame in shown["frames"]] == [
            "Sequential",
            "0: Linear",
            "1: ReLU",
        ]

    def test_an_own_function(self, tmp_path):
        class Twice(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                return x * 2

            @staticmethod
            def backward(ctx, g):
                return g * 2

        x = torch.tensor([1.0, 2.0], requires_grad=True)
        shown = told(viz.html(lambda: (Twice.apply(x) + 1).sum(), tmp_path / "step.html"))
        assert numbers(named(shown, "Twice")["results"][0]["value"]).tolist() == [2.0, 4.0]

    def test_what_was_recorded_before_is_left_as_it_is(self, tmp_path):
        x = torch.tensor([1.0, 2.0], requires_grad=True)
        early = x + 1
        shown = told(viz.html(lambda: (early + 5).sum(), tmp_path / "step.html"))
        adds = [box for box in shown["boxes"] if box["name"] == "add"]
        assert adds[0]["results"][0]["value"] is None
        assert numbers(adds[1]["results"][0]["value"]).tolist() == [7.0, 8.0]

    def test_nobody_watches_afterwards(self, tmp_path):
        x = torch.tensor(1.0, requires_grad=True)
        before = departed.count
        viz.html(lambda: x + 1, tmp_path / "step.html")
        with pytest.raises(ZeroDivisionError):
            viz.html(lambda: x + 1 / 0, tmp_path / "step.html")
        assert departed.count == before
        assert thread_mode.witness is None
        assert not thread_mode.looking

    def test_anomalies_are_looked_for_as_well(self, tmp_path):
        x = torch.tensor(0.0, requires_grad=True)
        with torch.debug.detect_anomaly():
            viz.html(lambda: x + 1, tmp_path / "step.html")
            with pytest.raises(RuntimeError, match="made inf of finite operands"):
                torch.log(x)


class Mixture(nn.Module):
    """Operations of which the tape keeps little."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(10, 4)

    def forward(self, x):
        h = self.table(torch.tensor([1, 2, 3, 3])) @ x
        a, b = h.chunk(2, 1)
        c = torch.cat([a * 2, b - a], 1).transpose(0, 1).reshape(2, 8)
        top, _ = c.max(1)
        first, second = torch.stack([top, top.exp()]).unbind(0)
        chosen = torch.where(first > 0.5, second, -first).clone()
        return chosen.std() + torch.einsum("ij,jk->ik", h, x).tril().norm() + h.mean(1).sum()


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), (2, 5, 8)),
        (lambda: nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU()), (2, 1, 6, 6)),
        (lambda: nn.Sequential(nn.Conv1d(3, 4, 2), nn.MaxPool1d(2), nn.Dropout(0.4)), (2, 3, 9)),
        (lambda: nn.Sequential(nn.Linear(4, 6), nn.GELU(), nn.ReLU(), nn.GLU()), (5, 4)),
        (Mixture, (4, 4)),
    ],
    ids=["transformer", "batch norm", "pooling", "activations", "mixture"],
)
def test_values_computed_again_are_what_they_were(make, shape):
    torch.manual_seed(0)
    model, x = make(), torch.randn(*shape, requires_grad=True)
    out, values = watched(lambda: model(x))
    tale = webpage.Tale([out], Names.of(model), [])
    again = 0
    for key, value in tale.values.items():
        if not isinstance(key[0], AccumulateGrad) and value.dtype.kind == "f":
            assert np.array_equal(value, values[key], equal_nan=True), key
            again += key not in tale.facts.values
    assert again > 0
    assert all((node, 0) in tale.values for node in tale.nodes)
    if hasattr(model, "__getitem__") and hasattr(model[1], "running_mean"):
        assert int(model[1].num_batches_tracked) == 1  # it was not run a second time


@pytest.mark.parametrize(
    ("items", "pieces"),
    [
        ("", []),
        ("abc", [(0, 1, 1), (1, 1, 1), (2, 1, 1)]),
        ("aaaa", [(0, 1, 4)]),
        ("abab", [(i, 1, 1) for i in range(4)]),
        ("pabcabcabcab", [(0, 1, 1), (1, 3, 3), (10, 1, 1), (11, 1, 1)]),
        ("aabaabaab" + "cdcdcd", [(0, 3, 3), (9, 2, 3)]),
    ],
)
def test_what_repeats(items, pieces):
    assert grouping.repeats(items) == pieces


class TestDigest:
    def test_small_arrays_are_there_whole(self):
        array = np.float32([[0.1, -2.5], [np.nan, np.inf]])
        found = with_heat(digest(array), 32)
        assert found["values"] == [0.1, -2.5, "nan", "inf"]
        assert (found["nan"], found["inf"], found["min"], found["max"]) == (1, 1, -2.5, 0.1)
        assert found["columns"] == 2
        assert digest(np.array(7))["values"] == [7]
        assert digest(np.array([True, False]))["values"] == [True, False]
        assert digest(np.empty((0, 3))) == {"size": 0, "values": []}
        json.dumps(found, allow_nan=False)

    @pytest.mark.parametrize("shape", [(1000,), (70, 100), (3, 5, 40), (2, 3, 4, 5)])
    def test_large_arrays_are_summarised(self, shape):
        array = np.random.default_rng(0).normal(size=shape).astype(np.float32)
        found = with_heat(digest(array), 32)
        assert "values" not in found
        assert sum(found["counts"]) == array.size
        assert len(found["counts"]) == 32
        assert found["mean"] == pytest.approx(array.mean(dtype=np.float64), rel=1e-5)
        assert found["std"] == pytest.approx(array.std(dtype=np.float64), rel=1e-5)
        table = array.reshape(-1, shape[-1]) if len(shape) > 1 else array.reshape(1, -1)
        levels = np.frombuffer(base64.b64decode(found["heat"]), np.uint8)
        cells = (levels.reshape(-1, found["columns"]) / 127.0 - 1) * found["scale"]
        rows, columns = cells.shape
        assert (rows, columns) == tuple(min(32, size) for size in table.shape)
        row_edges = np.linspace(0, table.shape[0], rows + 1).astype(int)
        column_edges = np.linspace(0, table.shape[1], columns + 1).astype(int)
        for i, j in ((0, 0), (rows - 1, columns - 1), (rows // 2, columns // 2)):
            block = table[row_edges[i] : row_edges[i + 1], column_edges[j] : column_edges[j + 1]]
            assert cells[i, j] == pytest.approx(block.mean(), abs=found["scale"] / 250)

    def test_cells_that_hold_a_nan_are_marked(self):
        array = np.ones((40, 40))
        array[0, 0] = np.nan
        levels = base64.b64decode(with_heat(digest(array), 32)["heat"])
        assert levels[0] == MISSING
        assert set(levels[1:]) == {254}

    def test_a_smaller_heat_map_takes_less(self):
        found = digest(np.random.default_rng(0).normal(size=(64, 64)))
        sizes = [len(with_heat(found, side)["heat"]) for side in (32, 16, 8)]
        assert sizes == sorted(sizes, reverse=True)
        assert "heat" not in with_heat(found, 0)


class TestFile:
    def test_nothing_is_loaded_from_outside(self, tmp_path):
        model, loss, calls = network()
        text = viz.html(loss, tmp_path / "step.html", params=model, modules=calls).read_text()
        assert "Permission is hereby granted" in text  # dagre's licence goes with it
        bare = re.sub(r"<!--.*?-->", "", text, flags=re.S)
        assert not re.search(r"https?://|//[a-z]+\.[a-z]+/", bare)
        assert not re.search(r"\b(src|href)\s*=|@import|url\((?!#)", bare)
        assert "default-src 'none'" in bare

    def test_titles_are_escaped(self, tmp_path):
        out, _ = neuron()
        text = viz.html(out, tmp_path / "a.html", title="<b>{{data}} & more").read_text()
        assert text.count("&lt;b&gt;{{data}} &amp; more") == 2
        told(tmp_path / "a.html")

    def test_text_of_the_user_s_cannot_leave_its_place(self, tmp_path):
        model, loss = hostile()
        title = "</title><script>alert(1)</script>{{script}}"
        path = viz.html(loss, tmp_path / "a.html", params=model, title=title)
        plain = viz.html(neuron()[0], tmp_path / "plain.html").read_text()
        text = path.read_text()
        for mark in ("<script", "</script", "<img", "<!--", "-->", "</title", "<style"):
            assert text.count(mark) == plain.count(mark), mark
        boxes = told(path)["boxes"]
        assert [box["name"] for box in boxes if box["kind"] == "parameter"] == [
            f"{name}.{part}" for name in HOSTILE for part in ("weight", "bias")
        ]

    @pytest.mark.parametrize(
        "dtype", [torch.float32, torch.float64, torch.int64, torch.int8, torch.uint8, torch.bool]
    )
    def test_numbers_are_told_exactly(self, dtype):
        array = NUMBERS[dtype].array
        found = digest(array)["values"]
        assert np.array_equal(
            np.array([numbers_of(value, array.dtype) for value in found]), array, equal_nan=True
        )
        read = json.loads(json.dumps(found, allow_nan=False))
        assert read == found
        zeros = [str(value) for value in found if value == 0 and isinstance(value, float)]
        assert zeros == (["0.0", "-0.0"] if array.dtype.kind == "f" else [])

    def test_what_a_large_graph_is_cut_into(self, tmp_path):
        cell, out, calls = loop(340)
        path = viz.html(out, tmp_path / "deep" / "step.html", params=cell, modules=calls)
        assert path.stat().st_size < webpage.LIMIT
        page = told(path)
        assert len(page["boxes"]) > 1000
        holds = {}
        for thing in page["frames"]:
            holds[thing["parent"]] = holds.get(thing["parent"], 0) + 1
        for box in page["boxes"]:
            holds[box["frame"]] = holds.get(box["frame"], 0) + 1
        assert max(holds.values()) <= grouping.WIDE + 3
        for number, frame in enumerate(page["frames"]):  # no frame is in itself
            seen, at = set(), number
            while at is not None:
                assert at not in seen
                seen.add(at)
                at = page["frames"][at]["parent"]
            assert number in holds, frame

    def test_a_loop_is_cut_into_its_iterations(self, tmp_path):
        w = torch.tensor([0.5, 0.25], requires_grad=True)
        x = torch.tensor([1.0, 2.0]).exp()
        for _ in range(100):
            x = torch.tanh(x * w)
            x = x + 0.1
        page = told(viz.html(x.sum(), tmp_path / "step.html", params={"w": w}))
        frames = page["frames"]
        holds = {}
        for box in page["boxes"]:
            if box["kind"] == "operation":
                holds.setdefault(box["frame"], []).append(box["name"])
        assert holds.pop(None) == ["sum"]
        titles = [frames[number]["title"] for number in holds]
        assert titles == [f"iteration {i + 1}" for i in range(100)]
        assert all(names == ["multiply", "tanh", "add"] for names in holds.values())
        runs = [frame for frame in frames if frame["kind"] == "run"]
        assert [run["title"] for run in runs][::9] == ["iterations 1 to 10", "iterations 91 to 100"]
        assert {run["about"] for run in runs} == {"each: multiply, tanh, add"}

    def test_heat_maps_shrink_until_the_page_fits(self, tmp_path, monkeypatch):
        torch.manual_seed(0)
        x = torch.randn(40, 40, requires_grad=True)
        y = x
        for _ in range(20):
            y = torch.tanh(y * x)
        path = tmp_path / "step.html"

        def columns(limit):
            monkeypatch.setattr(webpage, "LIMIT", limit)
            viz.html(y.sum(), path)
            assert path.stat().st_size < limit
            found = [r["value"] for box in told(path)["boxes"] for r in box["results"]]
            return max(value.get("columns", 0) for value in found if value)

        whole = 2_000_000
        assert columns(whole) == 32
        size = path.stat().st_size
        assert columns(size - 10_000) == 16
        path.unlink()
        with pytest.raises(ValueError, match="the page would have"):
            columns(50_000)
        assert not path.exists()
