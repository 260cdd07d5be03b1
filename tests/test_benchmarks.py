"""The benchmarks measure the same thing in every system, and say what they found."""

import importlib
import json
import signal
import subprocess
import sys
from collections import Counter
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

import tinygrad_like as ours
from benchmarks import layer_table, looking, machine, report, systems, timing
from benchmarks.op_table import EXPRESSIONS, REASONS, operands
from benchmarks.ops import layer, make
from benchmarks.workloads import NAMES
from tests.rows import collect
from tinygrad_like import jit
from tinygrad_like.lines import tracing
from tinygrad_like.op import REGISTRY

torch = pytest.importorskip("torch")

ROOT = Path(__file__).parent.parent


# ----- Workloads ----------------------------------------------------------------------------------


def results(system, workload, steps=3):
    """Return what the first steps of a workload give in a system."""
    module = systems.load(system)
    work = module.make(workload)
    found = []
    with module.active():
        for _ in range(steps):
            result = work.step()
            result = result.detach().numpy() if hasattr(result, "detach") else result
            found.append(np.array(result))
    return found


# torch.compile is PyTorch's business, and takes a minute a workload.
@pytest.mark.parametrize(
    "system", [s for s in systems.installed() if s not in ("torch", "compile")]
)
@pytest.mark.parametrize("workload", NAMES)
def test_every_system_does_the_same_work(system, workload):
    try:
        found = results(system, workload)
    except NotImplementedError:
        assert system == "mygrad", "only mygrad has no such ops"
        return
    # Adam's first steps make of a gradient that is nearly zero a whole step, one way or the other.
    limit = 5e-4 if workload == "gpt" else 1e-5
    for step, (a, e) in enumerate(zip(found, results("torch", workload), strict=True)):
        assert a.dtype == np.float32 or a.ndim == 0, "float64 crept in"
        error = np.abs(a - e).max() / np.abs(e).max()
        assert error < limit, f"step {step} of {workload} in {system} is off by {error:.1e}"


def test_workloads_train():
    for workload in ("moons", "mnist64", "mnist512", "cnn", "gpt", "lstm"):
        losses = results("ours", workload, 6)
        assert losses[-1] < losses[0], workload


def test_systems_switch_the_kernels():
    with systems.load("ours").active():
        assert not jit.enabled()
    if "jit" in systems.installed():
        with systems.load("jit").active():
            assert jit.enabled()


def test_every_workload_has_a_module_and_every_system_too():
    workloads = {p.stem for p in (ROOT / "benchmarks" / "workloads").glob("*.py")}
    assert workloads - {"__init__", "training"} == set(NAMES)
    modules = {p.stem for p in (ROOT / "benchmarks" / "systems").glob("*.py")}
    assert modules - {"__init__"} == set(systems.TITLES)
    assert {"torch", "ours", "numpy"} <= set(systems.installed())


# ----- The page of ops ----------------------------------------------------------------------------

ELSEWHERE = {
    "rnn_layer": "the workload lstm",
    "gru_layer": "the workload lstm",
    "lstm_layer": "the workload lstm",
    "bernoulli": "its gradient is zero",
    "poisson": "its gradient is zero",
    "normal": "it has no gradient",
    "max_pool_pick": "in second derivatives only",
    "pick_along": "in second derivatives only",
    "transposed_product": "in second derivatives only",
    "cofactors": "in second derivatives only",
    "ctc_gradient": "it needs frames, labels and lengths",
    "ctc_loss": "it needs frames, labels and lengths",
    **dict.fromkeys(["least_squares", "log_determinant"], "like their neighbours"),
    **dict.fromkeys(
        ["erfcx", "i0", "i0e", "i1", "i1e", "igamma", "igammac", "log_ndtr", "ndtri", "zeta"],
        "SciPy computes it",
    ),
}


def test_every_differentiable_op_is_on_the_page():
    shared = Counter(op.forward.__code__ for op in REGISTRY.values())
    # Closures made in one place have one code: it does not tell them apart.
    own = {name: op.forward.__code__ for name, op in REGISTRY.items()}
    codes = {code: name for name, code in own.items() if shared[code] == 1}
    seen = set()

    def profile(frame, event, argument):
        code = frame.f_code
        if event == "call":
            if code.co_filename.startswith("<op "):
                seen.add(code.co_name)
            seen.add(codes.get(code))

    found = operands(ours)
    with jit.disabled():
        for expression in EXPRESSIONS:
            step = make(ours, expression, found)
            sys.setprofile(profile)
            try:
                step()
            finally:
                sys.setprofile(None)
    differentiable = {name for _, row in collect() if row.order > 0 for name in row.ops}
    assert not sorted(differentiable - seen - set(ELSEWHERE)), "ops without an expression"
    assert not sorted(set(ELSEWHERE) & seen), "ops that are on the page after all"


def test_every_expression_has_pytorchs_gradients():
    sides = {ours: operands(ours), torch: operands(torch)}
    with jit.disabled():
        for expression in EXPRESSIONS:
            grads = {}
            for package, found in sides.items():
                package.manual_seed(0)
                make(package, expression, found)()
                grads[package] = {n: getattr(t, "grad", None) for n, t in found.items()}
                for t in found.values():
                    t.grad = None
            assert any(g is not None for g in grads[torch].values()), expression
            for name, e in grads[torch].items():
                a = grads[ours][name]
                if a is None or e is None:
                    assert (e if a is None else a) is None or not (e if a is None else a).any()
                else:
                    error = np.abs(a.numpy() - e.numpy()).max()
                    assert error <= 1e-4 * e.abs().max().item(), f"{expression}: {name}"


# ----- What looking costs -------------------------------------------------------------------------


@pytest.mark.parametrize("title", looking.CASES)
def test_what_looks_is_on_only_while_it_is_timed(title):
    case = looking.CASES[title]
    step, seen, found = looking.step_of(case), [], []

    def notice(frame, event, _):
        if event == "call":
            seen.append(frame.f_code.co_name)

    for active in (case.on, case.off) * 2:
        with active():
            step()
            seen.clear()
            sys.setprofile(notice)
            try:
                step()
            finally:
                sys.setprofile(None)
            found.append((tracing.on, list(seen)))
    assert found[0] != found[1]
    assert found[1] == found[3], "what looks is not off again"


def test_the_page_of_looking_has_a_line_for_each_case():
    found = looking.page(0.0, ["`x * y`", "forward hook"])
    assert [r["share"] for r in found.values()] == [1, 1]
    text = report.summary({"machine": {"processor": "Abacus"}, "looking": found})
    assert all(f"| {title} " in text for title in found)


# ----- Timing -------------------------------------------------------------------------------------


def test_rounds_take_turns():
    order = []
    steps = {name: (lambda name=name: order.append(name), nullcontext) for name in "ab"}
    times = timing.rounds(steps, seconds=0.0, least=3)
    assert [len(times[name]) for name in "ab"] == [3, 3]
    assert min(*times["a"], *times["b"]) > 0
    blocks = [a for a, b in zip(order, [*order[1:], None], strict=True) if a != b]
    assert blocks[-6:] == list("ababab")


def test_a_round_runs_inside_its_systems_context():
    seen = []
    with jit.disabled():
        timing.rounds({"x": (lambda: seen.append(jit.enabled()), nullcontext)}, 0.0)
    timing.rounds({"x": (lambda: seen.append(jit.enabled()), jit.disabled)}, 0.0)
    assert seen
    assert not any(seen)


def test_patience_has_an_end():
    with pytest.raises(TimeoutError, match="60 s"), timing.patience(60):
        signal.raise_signal(signal.SIGALRM)
    assert signal.alarm(0) == 0


def test_a_system_that_fails_is_absent(monkeypatch):
    def load(name):
        raise ModuleNotFoundError(f"No module named {name!r}\nand more")

    monkeypatch.setattr(systems, "load", load)
    found = timing.workload("softmax", ["jax"], 0.0)
    assert found["times"] == {}
    assert found["absent"] == {"jax": "ModuleNotFoundError: No module named 'jax'"}


def test_the_least_time_follows_from_the_machine(monkeypatch):
    monkeypatch.setattr(timing, "flops_per_second", lambda: 1e9)
    monkeypatch.setattr(timing, "bytes_per_second", lambda moved: 2e9)
    assert timing.least_time(5e9, 0) == 5.0
    assert timing.least_time(0, 5e9) == 2.5


def test_spread():
    assert timing.spread([1.0, 1.0, 1.0, 1.0]) == 0.0
    assert timing.spread([1.0, 2.0, 3.0]) == 1.0


# ----- Reports ------------------------------------------------------------------------------------

RESULT = {
    "machine": {"processor": "Abacus", "numpy": "2.0"},
    "one thread": {
        "chain": {
            "times": {"torch": [2e-4, 4e-4], "ours": [1e-4, 2e-4]},
            "absent": {"jit": "ImportError: no numba"},
            "limit": None,
        },
        "gpt": {
            "times": {"torch": [0.02, 0.03], "ours": [0.03, 0.03], "jit": [0.01, 0.02]},
            "absent": {},
            "limit": 0.005,
        },
    },
    "ops": {
        "x + y": {"times": {"torch": [1e-4], "ours": [5e-5]}, "absent": {}},
        "x - y": {"times": {"torch": [1e-4], "ours": [3e-4]}, "absent": {}},
        "x * y": {"times": {"torch": [1e-4]}, "absent": {"ours": "Error: gone"}},
    },
}


@pytest.mark.parametrize("line", layer_table.EXPRESSIONS)
def test_every_layer_has_pytorchs_gradients(line):
    grads = []
    with jit.disabled():
        for package in (ours, torch):
            found = layer_table.inputs(package)
            package.manual_seed(0)
            layer(package, line, found)()
            grads.append({n: t.grad for n, t in found.items() if t.requires_grad})
    mine, theirs = grads
    for name, e in theirs.items():
        assert (e is None) == (mine[name] is None), name
        if e is not None:
            error = np.abs(mine[name].numpy() - e.numpy()).max()
            assert error <= 1e-4 * max(e.abs().max().item(), 1e-3), name


def test_every_layer_is_on_the_page():
    listed = {line.partition("(")[0] for line in layer_table.EXPRESSIONS}
    known = {name for name in ours.nn.modules.__all__ if isinstance(getattr(ours.nn, name), type)}
    missing = {n for n in known - listed if not layer_table.elsewhere(n)}
    assert not missing
    assert not listed & set(layer_table.ELSEWHERE)


def test_the_table_of_ratios():
    text = report.ratios("One thread:", RESULT["one thread"], limits=True)
    assert text.splitlines() == [
        "One thread:",
        "",
        "|       |    torch | NumPy only | with jit | torch, x limit | NumPy only, x limit | with jit, x limit |",
        "| ----- | -------: | ---------: | -------: | -------------: | ------------------: | ----------------: |",
        "| chain |   200 us |       0.50 |          |                |                     |                   |",
        "| gpt   | 20.00 ms |       1.50 |     0.50 |            4.0 |                 6.0 |               2.0 |",
    ]


def test_the_summary_of_ops():
    text = report.op_summary("Ops:", RESULT["ops"], worst=1)
    assert "| NumPy only |   1.75 |  1 of 2 |" in text
    assert text.endswith("Largest, NumPy only: `x - y` 3.0.")


def test_what_is_slow_is_given_a_reason(monkeypatch):
    monkeypatch.setattr(report, "REASONS", {"x - y": "it is hard"})
    slow = {"times": {"torch": [1e-4], "ours": [4e-4]}, "absent": {}}
    text = report.op_summary("Ops:", {"x + y": slow, "x - y": slow, **RESULT["ops"]}, worst=1)
    assert "no reason" not in text
    text = report.op_summary("Ops:", {"x + y": slow, "x - y": slow}, worst=1)
    assert text.endswith("Above 3:\n\n* `x + y`: no reason is known\n* `x - y`: it is hard")


def test_reasons_are_of_ops_on_the_page():
    assert set(REASONS) <= set(EXPRESSIONS)
    assert set(layer_table.REASONS) <= set(layer_table.EXPRESSIONS)


def test_the_details_name_who_is_absent():
    text = report.details(RESULT)
    assert "chain: with jit is absent: ImportError: no numba" in text
    assert "x * y: NumPy only is absent: Error: gone" in text
    assert "| chain: NumPy only |   100 us |   150 us |" in text


def test_the_summary_starts_with_the_machine():
    assert report.summary(RESULT).startswith("Abacus, ")


def test_the_readme_is_written_between_its_marks(tmp_path):
    readme = tmp_path / "README.md"
    old = (ROOT / "README.md").read_text()
    readme.write_text(old)
    report.write_readme("a table", readme)
    begin, end = report.MARKS
    head, tail = old.split(begin)[0], old.split(end)[1]
    assert readme.read_text() == f"{head}{begin}\n\na table\n\n{end}{tail}"
    readme.write_text("no marks")
    with pytest.raises(SystemExit, match="has no place"):
        report.write_readme("a table", readme)
    assert readme.read_text() == "no marks"


def test_sizes_on_disk_do_not_count_twice():
    sizes = machine.installed_sizes()
    sources = [*(ROOT / "tinygrad_like").glob("*.py"), *(ROOT / "nn").rglob("*.py")]
    assert sizes["ours"] * 1e6 > sum(p.stat().st_size for p in sources)
    assert sizes["ours"] < sizes["numpy"] < sizes["torch"]


def test_the_driver_from_the_command_line(tmp_path):
    output = tmp_path / "times.json"
    arguments = ["softmax", "--short", "--threads", "one", "--systems", "torch,ours"]
    command = [sys.executable, "-m", "benchmarks", *arguments, "--output", str(output)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "| softmax |" in done.stdout
    found = json.loads(output.read_text())["one thread"]["softmax"]
    assert found["limit"] > 0
    assert len(found["times"]["ours"]) == len(found["times"]["torch"]) >= 5


def test_readme_needs_everything(capsys, monkeypatch):
    main = importlib.import_module("benchmarks.__main__").main
    for arguments in (["chain", "--readme"], ["--threads", "one", "--readme"]):
        monkeypatch.setattr(sys, "argv", ["benchmarks", *arguments])
        with pytest.raises(SystemExit):
            main()
        assert "--readme needs everything" in capsys.readouterr().err
