"""A profile holds what operations cost, and leaves nothing behind."""

import threading

import numpy as np
import pytest

import tinygrad_like as torch
from tests.drawings import boxes, loss_of, named, network, toned
from tinygrad_like import generate, nn, viz
from tinygrad_like.graph import AccumulateGrad, Node, Pick, reachable
from tinygrad_like.registry import REGISTRY
from tinygrad_like.viz import profiling
from tinygrad_like.viz.profiling import Cost
from tinygrad_like.viz.styles import STYLES


def operations(loss):
    nodes = reachable([loss.node])
    return [node for node in nodes if not isinstance(node, AccumulateGrad | Pick)]


def functions():
    """Return every function that a profile may replace, by where it is."""
    found = {("forward", name): op.forward for name, op in REGISTRY.items()}
    for number, namespace in enumerate(generate._namespaces):
        found["namespace", number] = namespace.get("forward")
    stack = list(Node.__subclasses__())
    while stack:
        cls = stack.pop()
        stack += cls.__subclasses__()
        found["backward", cls] = cls.__dict__.get("backward")
    return found


class TestCosts:
    def test_every_operation_has_times_and_exact_bytes(self):
        model = network()
        x = torch.randn(8, 3)
        with viz.profiled() as p:
            loss, _ = loss_of(model, x)
            loss.backward()
        nodes = operations(loss)
        for node in nodes:
            cost = p.of(node)
            assert cost.calls == 1
            assert cost.forward > 0
            assert cost.backward > 0
            assert cost.bytes == 4 * int(np.prod(node.shape))
        total = p.of(*nodes)
        assert total.calls == len(nodes) == len(p.events)
        assert total.bytes == sum(p.of(node).bytes for node in nodes)
        assert abs(total.forward - p.total.forward) < 1e-12

    def test_views_take_no_memory(self):
        x = torch.randn(6, 4, requires_grad=True)
        with viz.profiled() as p:
            y = x.reshape(4, 6)
            z = y.T
            w = z.clone()
        assert [p.of(t.node).bytes for t in (y, z, w)] == [0, 0, 96]

    def test_what_is_kept(self):
        x = torch.randn(10, requires_grad=True)
        y = torch.randn(10, requires_grad=True)
        with viz.profiled() as p:
            product, double, e = x * y, x + x, x.exp()
        assert p.of(product.node).kept == 80
        assert p.of(double.node).kept == 0
        assert p.of(e.node).kept == 40

    @pytest.mark.parametrize(
        ("call", "flops"),
        [
            (lambda a, b: a @ b, 2 * 3 * 4 * 5),
            (lambda a, b: nn.functional.linear(a, b.T), 2 * 3 * 4 * 5),
            (lambda a, b: a[0].dot(a[1]), 2 * 4),
            (lambda a, b: torch.einsum("ij,jk->ik", a, b), 2 * 3 * 4 * 5),
            (lambda a, b: torch.einsum("ij,jk,kl->il", a, b, torch.ones(5, 6)), 2 * 2 * 3 * 4 * 5 * 6),
            (
                lambda a, b: nn.functional.scaled_dot_product_attention(a, torch.ones(7, 4), torch.ones(7, 5)),
                2 * 3 * 7 * (4 + 5),
            ),
            (lambda a, b: nn.GRU(4, 6)(a)[0], 2 * 3 * (18 * 4 + 18 * 6)),
            (lambda a, b: nn.LSTM(4, 6)(a)[0], 2 * 3 * (24 * 4 + 24 * 6)),
            (lambda a, b: nn.RNN(4, 6)(a)[0], 2 * 3 * (6 * 4 + 6 * 6)),
            (lambda a, b: a + 1, 12),
            (lambda a, b: b.sum(), 20),
            (lambda a, b: a.reshape(12), 0),
            (lambda a, b: torch.cat([a, a]), 0),
            (
                lambda a, b: nn.functional.conv1d(a.reshape(1, 3, 4), b.reshape(2, 1, 10)[:, :, :2].expand(2, 3, 2)),
                2 * (2 * 3) * (3 * 2),
            ),
        ],
    )  # fmt: skip
    def test_flops(self, call, flops):
        a, b = torch.randn(3, 4, requires_grad=True), torch.randn(4, 5, requires_grad=True)
        with viz.profiled() as p:
            out = call(a, b)
        node = out.node.parents[0] if isinstance(out.node, Pick) else out.node
        while p.of(node).flops == 0 and flops:
            node = node.parents[0]
        assert p.of(node).flops == flops

    def test_an_op_inside_another_is_part_of_it(self):
        x = torch.randn(4, 6, requires_grad=True)
        with viz.profiled() as p:
            out = nn.functional.scaled_dot_product_attention(x, x, x)
        assert [event.name for event in p.events].count(out.node.op.name) == 1
        assert p.of(*operations(out)).calls == len(operations(out)) == len(p.events)

    def test_several_results_and_lists(self):
        x = torch.randn(4, 6, requires_grad=True)
        with viz.profiled() as p:
            first, second = x.split(2)
            out = torch.stack([first, second]).sum()
            out.backward()
        for node in operations(out):
            cost = p.of(node)
            assert cost.forward > 0, node.op.name
            assert cost.backward > 0, node.op.name

    def test_own_functions_have_the_time_of_their_backward(self):
        class Double(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                return x * 2

            @staticmethod
            def backward(ctx, g):
                return g * 2

        x = torch.ones(3, requires_grad=True)
        with viz.profiled() as p:
            y = Double.apply(x)
            y.sum().backward()
        cost = p.of(y.node)
        assert cost.backward > 0
        assert cost.calls == 1

    def test_what_was_not_profiled_has_no_cost(self):
        x = torch.ones(3, requires_grad=True)
        before = x * 2
        with viz.profiled() as p:
            inside = x * 3
        after = x * 4
        assert [p.of(t.node).calls for t in (before, inside, after)] == [0, 1, 0]

    def test_two_threads(self):
        torch.ones(2).exp()
        made = {}

        def work(name):
            x = torch.ones(50, requires_grad=True)
            for _ in range(50):
                x = x.exp() if name else x * 0.5
            made[name] = x

        with viz.profiled() as p:
            threads = [threading.Thread(target=work, args=(i,)) for i in range(2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        for name, op in ((0, "multiply"), (1, "exp")):
            for node in operations(made[name]):
                assert p.of(node).calls == 1
                assert node.op.name == op

    def test_second_derivatives(self):
        x = torch.tensor([1.0, 2.0], requires_grad=True)
        with viz.profiled() as p:
            (g,) = torch.autograd.grad((x**3).sum(), x, create_graph=True)
            (again,) = torch.autograd.grad(g.sum(), x)
        assert again.tolist() == [6.0, 12.0]
        assert all(p.of(node).calls == 1 for node in operations(g))


class TestProfile:
    def test_it_runs_a_function_and_its_backward(self):
        x = torch.ones(100, requires_grad=True)
        p = viz.profile(lambda: (x * 2).sum())
        assert p.result.item() == 200.0
        assert [event.name for event in p.events] == ["multiply", "sum"]
        assert p.total.backward > 0
        assert x.grad is None
        p.result.backward()  # the graph is whole
        assert x.grad.tolist() == [2.0] * 100

    def test_warm_up(self):
        calls = []
        viz.profile(lambda: calls.append(1), warm_up=3)
        assert len(calls) == 4

    def test_a_result_of_several_elements(self):
        x = torch.ones(3, requires_grad=True)
        p = viz.profile(lambda: x * 2)
        assert p.of(p.result.node).backward > 0

    def test_the_table(self):
        x = torch.ones(1000, requires_grad=True)
        lines = str(viz.profile(lambda: (x * x + x * 2).sum())).splitlines()
        assert lines[0].split() == ["op", "calls", "forward", "memory", "flops"]
        rows = {line.split()[0]: line.split() for line in lines[1:-1]}
        assert set(rows) == {"multiply", "add", "sum"}
        assert rows["multiply"][1] == "2"
        assert "8 kB" in " ".join(rows["multiply"])
        assert lines[-1].endswith("4 kflop")
        assert "backward" in lines[-1]

    def test_the_words_of_a_cost(self):
        cost = Cost(1, 0.0012, 0.0, 1_500_000, 0, 320)
        assert cost.lines() == ["1.2 ms forward", "1.5 MB, 320 flop"]
        assert Cost(1, 2e-7, 3.5e-4).lines() == ["200 ns forward, 350 µs back", "no memory"]


def put_back(before):
    """Return whether all functions are those they were, and new ones plain."""
    now = functions()
    left = [
        key
        for key, function in now.items()
        if isinstance(function, profiling._Timed)
        or "_looking" in getattr(function, "__qualname__", "")
    ]
    return not left and all(now[key] is function for key, function in before.items())


class TestNothingIsLeft:
    def test_all_functions_are_those_they_were(self):
        x = torch.ones(3, requires_grad=True)
        with viz.profiled():
            pass  # classes of nodes are made at the first time
        before = functions()
        with viz.profiled():
            inside = functions()
            assert not put_back(before)
            (x * x).sum().backward()
        assert put_back(before)
        replaced = [key for key, value in inside.items() if value is not before[key]]
        assert {kind for kind, _ in replaced} == {"forward", "namespace", "backward"}

    def test_also_after_an_error(self):
        with viz.profiled():
            pass
        before = functions()
        x = torch.ones(3, requires_grad=True)
        with pytest.raises(RuntimeError, match="do not broadcast"), viz.profiled():
            x + torch.ones(2)
        assert put_back(before)
        assert (x * 2).sum().item() == 6.0

    def test_one_at_a_time(self):
        with (
            viz.profiled(),
            pytest.raises(RuntimeError, match="being taken already"),
            viz.profiled(),
        ):
            pass
        with viz.profiled() as p:
            torch.ones(2).exp()
        assert p.total.calls == 1

    def test_results_are_the_same(self):
        model, x = network(), torch.randn(5, 3)
        plain = torch.autograd.grad(loss_of(model, x)[0], list(model.parameters()))
        with viz.profiled():
            looked_at = torch.autograd.grad(loss_of(model, x)[0], list(model.parameters()))
        for a, b in zip(plain, looked_at, strict=True):
            assert torch.equal(a, b)


class TestDrawn:
    def test_costs_stand_at_the_operations(self):
        x = torch.ones(1000, requires_grad=True)
        p = viz.profile(lambda: (x * x).sum())
        graph = viz.draw(p.result, profile=p)
        for node, box in zip(operations(p.result), boxes(graph, "operation"), strict=True):
            assert toned(box, "cost") == p.of(node).lines()
            assert 0 < box.heat <= 1
        assert toned(named(graph, "multiply"), "cost")[1] == "4 kB, 1 kflop"
        assert graph.picture.captions == [", ".join(p.total.lines())]

    def test_a_folded_module_sums_up(self):
        model, x = network(), torch.randn(5, 3)
        with viz.profiled() as p:
            loss, calls = loss_of(model, x)
        graph = viz.draw(loss, model, modules=calls, depth=1, profile=p)
        shares = [box.heat for box in boxes(graph, "group")]
        assert max(shares) == 1
        assert min(shares) > 0
        block = named(graph, "1: Block")
        # norm, linear, relu and sum make 5 x 4 numbers each
        assert toned(block, "cost")[1].startswith("320 B")

    def test_a_profile_knows_the_modules(self):
        model, x = network(), torch.randn(5, 3)
        p = viz.profile(lambda: model(x).sum())
        graph = viz.draw(p.result, model, profile=p)
        assert graph.picture.clusters[1].title == "0: Linear"

    def test_the_slowest_is_the_darkest(self):
        x = torch.randn(300, 300, requires_grad=True)
        p = viz.profile(lambda: (x @ x @ x + 1).sum())
        graph = viz.draw(p.result, profile=p)
        times = [p.of(node).time for node in operations(p.result)]
        heats = [box.heat for box in boxes(graph, "operation")]
        assert heats == [time / max(times) for time in times]
        assert STYLES["light"].warmed(1) in graph.source

    def test_summaries_have_costs(self):
        x = torch.ones(3, requires_grad=True)

        def run():
            y = x
            for _ in range(60):
                y = y * 1.0 + 1.0
            return y.sum()

        p = viz.profile(run)
        graph = viz.draw(p.result, profile=p, limit=50)
        assert all(toned(box, "cost") for box in boxes(graph, "group"))
