"""What `explain` says, as text and as HTML."""

from __future__ import annotations

import itertools
import linecache
import re
import sys
import textwrap
import types
from html.parser import HTMLParser

import numpy as np

import tinygrad_like as torch
from tests.explained import (
    WrongCube,
    broadcasting,
    double_use,
    hooks,
    leaf,
    unused_results,
)
from tinygrad_like import nn
from tinygrad_like.explanation import explain
from tinygrad_like.explanation.names import shown
from tinygrad_like.nn.module import record_modules

# ----- The lesson ---------------------------------------------------------------------------------


def written(text):
    """Run a student's program and return its lesson."""
    text = textwrap.dedent(text).lstrip()
    linecache.cache["student.py"] = (len(text), None, text.splitlines(True), "student.py")
    scope = {"torch": torch}
    exec(compile(text, "student.py", "exec"), scope)
    return scope["lesson"]


def test_the_lesson_of_a_square():
    lesson = written("""
        x = torch.tensor([1.0, 2.0], requires_grad=True)
        loss = (x * x).sum()
        lesson = torch.explain(loss, show=False)
    """)
    assert str(lesson) == textwrap.dedent("""\
        The backward pass, step by step
        ===============================

        Gradients go from the result back to what it was made from. An operation can
        pass its gradient on only when that is complete: when all that used its result
        had their turn. Whatever used a result was recorded after it, so the youngest
        operation that waits is always complete, and is taken next. By the chain rule it
        sends each operand g, the gradient that arrived, times its local derivative for
        that operand: d(x*y)/dx = g*y says what x is sent.

        2 operations, 1 leaf.

        Step 1: sum, which made `loss`
          recorded 2nd of 2, at student.py:2
            loss = (x * x).sum()
          The walk starts here: what a result gains by itself growing is 1.
          g = 1, to start with
          Here x is the result of step 2.
          d(Σ x)/dx = g for every element
            local derivative: [1, 1]
            sends [1, 1] to step 2 (multiply)

        Step 2: multiply
          recorded 1st of 2, at student.py:2
            loss = (x * x).sum()
          Step 1, which used its result, had its turn: its gradient is complete.
          g = [1, 1], from step 1
          Here x is `x`; y is `x`.
          d(x*y)/dx = g*y
            local derivative: [1, 2]
            sends [1, 2] to step 3 (`x`)
          d(x*y)/dy = g*x
            local derivative: [1, 2]
            sends [1, 2] to step 3 (`x`)

        Step 3: the leaf `x`, of shape 2
          Leaves come last, when nothing is left that could send more; step 2 used it.
          2 gradients arrived and are added up: its value was used 2 times, and a change
          of it reaches the result each way.
            [1, 2], from step 2, as x
            [1, 2], from step 2, as y
          g = [2, 4]
          backward() will store g as `x.grad`, which is None so far.""")


def test_the_lesson_of_a_broadcast_with_a_check():
    lesson = written("""
        w = torch.tensor(2.0, requires_grad=True)
        data = torch.tensor([1.0, 2.0, 3.0])
        (w * 6).backward()
        y = w * data
        lesson = torch.explain(y, torch.tensor([1.0, 0.0, -2.0]), check=True, show=False)
    """)
    _, _, rest = str(lesson).partition("what x is sent.\n\n")
    assert rest == textwrap.dedent("""\
        1 operation, 1 leaf.

        Every rule agrees with finite differences.

        Step 1: multiply, which made `y`
          recorded 1st of 1, at student.py:4
            y = w * data
          The walk starts here, with the gradient that was given.
          g = [1, 0, -2], to start with
          Here x is `w`; y is `data`, which needs no gradient.
          d(x*y)/dx = g*y
            local derivative: [1, 2, 3]
            the rule gives [1, 0, -6]
            broadcasting undone: each element of x was used 3 times, along dimension 0,
            so what its copies get is added up
            sends -5 to step 2 (`w`)
          checked against finite differences: right for x

        Step 2: the leaf `w`, one number
          Leaves come last, when nothing is left that could send more; step 1 used it.
          g = -5, from step 1
          `w.grad` holds 6 already: backward() will add g to that (zero_grad() clears
          it).""")


def test_sums_and_broadcasting_are_said():
    text = str(explain(double_use(), show=False))
    assert "gradients arrived and are added up: its value was used" in text
    text = " ".join(str(explain(broadcasting(), show=False)).split())
    assert "broadcasting undone: each element of x was used 6 times, along dimensions 0, 1" in text
    assert "broadcasting undone: each element of y was used 3 times, along dimension 2" in text


def test_several_results_are_said():
    text = str(explain(unused_results(), show=False))
    assert "It has several results, and a gradient for each that was used:" in text
    assert "g[0] = [1, 1, 1]" in text
    assert "g[1] = not used: counts as zeros" in text


def test_hooks_are_said():
    text = str(explain(hooks(), show=False))
    assert text.count("A hook replaced a gradient here.") == 2


def test_strange_numbers_are_counted():
    assert shown(np.array([np.nan, np.inf, *range(9)])) == (
        "11 numbers, 1 nan and 1 infinite, and else from 0 to 8, mean 4"
    )
    assert shown(np.full((3, 4), np.nan)) == "3 x 4 numbers, 12 nan, and else none"
    assert shown(np.r_[np.ones(9), -np.inf]) == "10 numbers, 1 infinite, and else all 1"
    assert shown(torch.tensor([1.0, float("nan")])) == "[1, nan]"


def test_constants_are_told_if_they_are_few():
    x = leaf(1.0, 2.0)
    assert "Here x is `x`; y is 3, which needs no gradient." in str(
        explain((x * 3).sum(), show=False)
    )
    few = str(explain((x * torch.tensor([3.0, 4.0])).sum(), show=False))
    assert "y is [3, 4], which needs no gradient" in few
    many = str(explain((leaf(1.0) * torch.arange(9.0)).sum(), show=False))
    assert "y is a constant, which needs no gradient" in many
    assert "y is a constant" in str(explain((x + 3).sum(), show=False))  # the rule doesn't need it


def test_large_arrays_are_summarised():
    x = torch.arange(20.0).reshape(4, 5).requires_grad_()
    text = str(explain((x * x).sum(), show=False))
    assert "sends 4 x 5 numbers, all 1 to step 2 (multiply)" in text
    assert "g = 4 x 5 numbers from 0 to 38, mean 19" in text


def test_names_by_hand():
    w, x = leaf(2.0), leaf(1.0)
    for params in ({"weights": w}, [("weights", w)]):
        text = str(explain((w * x).sum(), params=params, show=False))
        assert "the leaf `weights`" in text
        assert "`x`" not in text
    net = nn.Linear(2, 1)
    text = str(explain(net(torch.ones(2)).sum(), params=net, show=False))
    assert "the leaf `weight`, of shape 1 x 2" in text


def test_names_of_variables():
    net = nn.Sequential(nn.Linear(2, 1))
    text = str(explain(net(torch.ones(2)).sum(), show=False))
    assert "the leaf `net.0.weight`, of shape 1 x 2" in text


def test_printing(capsys):
    lesson = explain(leaf(2.0).sum())
    assert capsys.readouterr().out == f"{lesson}\n"
    assert torch.explain(leaf(2.0).sum(), show=False)
    assert capsys.readouterr().out == ""


def test_a_notebook_shows_it_itself(capsys, monkeypatch):
    shell = types.SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    explain(leaf(2.0).sum())
    assert capsys.readouterr().out == ""
    explain(leaf(2.0).sum(), show=True)
    assert capsys.readouterr().out
    shell.kernel = None
    explain(leaf(2.0).sum())
    assert capsys.readouterr().out


def test_of_many_operands_the_rest_is_counted():
    x = leaf(1.0, 2.0)
    text = str(explain(torch.cat([x] * 40).sum(), show=False))
    assert text.count("sends [1, 1] to step 3") == 8
    assert "  and 32 more operands, which are sent theirs" in text
    assert text.count("from step 2, as xs[") == 8
    assert "    and 32 more gradients" in text
    assert "40 gradients arrived and are added up" in text
    assert "xs[7] is `x`; and 32 more." in " ".join(text.split())


def chain(length):
    x = leaf(1.0)
    y = x
    for _ in range(length):
        y = y * 2
    return y


def rows_of(lesson):
    """Return the lines of an overview, without its head."""
    lines = str(lesson).splitlines()
    (head,) = [i for i, line in enumerate(lines) if line.split()[:2] == ["step", "operation"]]
    found = itertools.takewhile(bool, lines[head + 1 :])
    return [re.split(r" {2,}", line.strip()) for line in found]


def test_long_lessons_are_an_overview():
    lesson = explain(chain(40), show=False)
    assert len(lesson) == 41
    assert "Step 1: " not in str(lesson)
    assert "41 steps are too many to write out." in str(lesson)
    assert "`print(lesson[0:3])`" in str(lesson)
    rows = rows_of(lesson)
    assert rows[0][:5] == ["1", "multiply", "1", "1", "2"]
    assert rows[3][:5] == ["4", "multiply", "1", "8", "5"]
    assert rows[-1] == ["41", "a leaf", "1", "1.1e+12", "leaf"]
    assert "Step 41: " in str(explain(chain(40), limit=41, show=False))


def test_a_slice_of_a_long_lesson_is_written_out():
    x = leaf(1.0)
    lesson = explain(chain(40) * x, check=True, show=False)
    part = lesson[10:13]
    assert part.steps == lesson.steps[10:13]
    assert [check.step.number for check in part.checks] == [11, 12, 13]
    text = str(part)
    assert text.startswith("Step 11: multiply\n  recorded 31st of 41")
    assert "sends [4096] to step 14 (multiply)" in text
    assert text.count("\nStep ") == 2
    assert part._repr_html_().count("<details") == 3
    assert explain(x * 2, show=False)[0].op == "multiply"


def test_runs_in_an_overview_are_modules():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(3, 3)

        def forward(self, x):
            for _ in range(5):
                x = x.exp().log()
            return self.inner(x)

    blocks = nn.Sequential(*(Block() for _ in range(8)))
    lesson = explain(lambda: blocks(torch.ones(1, 3)).sum(), show=False)
    rows = rows_of(lesson)
    assert [row[-1] for row in rows[:3]] == [rows[0][-1], "blocks.7.inner", "blocks.7"]
    assert rows[2][:2] == ["3-12", "10 steps: log x 5, exp x 5"]
    assert rows[-1][1:] == ["2 leaves", rows[-1][2], "blocks.0.inner"]
    steps = [n for row in rows for n in row[0].split("-")]
    assert steps[0] == "1"
    assert steps[-1] == str(len(lesson))
    assert "lambda" not in str(lesson)
    with record_modules() as calls:
        loss = blocks(torch.ones(1, 3)).sum()
    assert rows_of(explain(loss, modules=calls, show=False))[1:] == rows[1:]
    hint = (
        "Given a function that computes the loss, as in `explain(lambda: ...)`, it tells steps by"
    )
    assert hint in " ".join(str(explain(loss, show=False)).split())


def test_very_long_lessons():
    lesson = explain(chain(3000), show=False)
    assert len(str(lesson).splitlines()) <= 90
    assert len(lesson._repr_html_()) < 40_000
    numbers = [row[0].split("-") for row in rows_of(lesson)]
    assert numbers[0][0] == "1"
    assert numbers[-1] == ["3001"]
    for one, two in itertools.pairwise(numbers):
        assert int(one[-1]) + 1 == int(two[0])
    assert max(map(len, str(lesson).splitlines())) <= 80


def test_a_wrong_rule_is_written_out_below_an_overview():
    lesson = explain(WrongCube.apply(chain(5)).log().log(), check=True, limit=5, show=False)
    text = str(lesson)
    assert text.count("WrongCube's rule for x") == 2
    assert "\n\nStep 3: WrongCube\n" in text
    assert [row[1] for row in rows_of(lesson)][1:4] == ["log", "WRONG WrongCube", "multiply"]
    assert lesson._repr_html_().count('class="line bad"') == 1
    assert not text.endswith("see step 3.")
    long = str(explain(WrongCube.apply(chain(5)).log(), check=True, show=False))
    assert long.endswith("\n\nWRONG: WrongCube's rule for x; see step 2.")


def test_an_overview_unfolds():
    html = explain(chain(40), show=False)._repr_html_()
    assert html.count('<details class="line">') == 41
    assert html.count("<h5>Step ") == 41
    tags = Tags()
    tags.feed(html)
    assert not tags.open


def test_a_deep_graph():
    y = leaf(1.0)
    for _ in range(5000):
        y = y + 1
    assert len(explain(y, limit=1, show=False)) == 5001


def test_steps_of_a_lesson():
    lesson = explain(double_use(), show=False)
    assert list(lesson) == lesson.steps
    assert lesson[-1].kind == "leaf"
    assert repr(lesson) == f"<Explanation of {len(lesson)} steps>"


class Tags(HTMLParser):
    """Checks that tags are closed in order, and collects them and the text."""

    def __init__(self):
        super().__init__()
        self.open, self.seen, self.text = [], [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_letters_of_formulas():
    net = nn.Linear(2, 1)
    text = " ".join(str(explain(net(torch.ones(3, 2)).sum(), show=False)).split())
    assert "W is `net.weight`; b is `net.bias`." in text
    assert "d(x @ Wᵀ + b)/dW = gᵀ @ x" in text


def test_hooks_of_modules():
    net = nn.Tanh()
    net.register_full_backward_hook(lambda module, sent, received: (sent[0] * 2,))
    x = leaf(0.0)
    lesson = explain(net(x * 1).sum(), show=False)
    assert lesson[-1].gradient.tolist() == [2.0]
    assert "hooks of a module" in str(lesson)
    assert "what hooks of the module leave of g" in str(lesson)


def test_html():
    x = leaf(1.0, 2.0)
    lesson = explain(WrongCube.apply(x).sum(), params={"x<b>": x}, check=True, show=False)
    tags = Tags()
    tags.feed(lesson._repr_html_())
    assert not tags.open
    details = [attrs["class"] for tag, attrs in tags.seen if tag == "details"]
    assert details == ["operation", "operation bad", "leaf"]
    assert not any("src" in attrs or "href" in attrs for _, attrs in tags.seen)
    text = "".join(tags.text)
    for line in ("d(Σ x)/dx = g for every element", "g = [1, 1], from step 1", "x<b>"):
        assert line in text
    assert "<b>" not in lesson._repr_html_()


def test_saving(tmp_path):
    lesson = explain(double_use(), show=False)
    page = lesson.save(tmp_path / "lesson.html")
    text = page.read_text(encoding="utf-8")
    assert text.startswith("<!DOCTYPE html>")
    assert lesson._repr_html_() in text
    assert "http" not in text
    tags = Tags()
    tags.feed(text.removeprefix("<!DOCTYPE html>"))
    assert not tags.open
    assert lesson.save(str(tmp_path / "lesson.txt")).read_text(encoding="utf-8") == f"{lesson}\n"
