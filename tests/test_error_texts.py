"""What is said about an error, whole: the table of texts, the page made from it, and where lines come from."""

from __future__ import annotations

import ast
import copy
import pickle
import threading
import warnings
from pathlib import Path
from typing import Any

import pytest

import tinygrad_like as torch
from tests.error_texts import PAGE, Situation, page, situations, text_of
from tinygrad_like.debug import text

ROWS = situations()


@pytest.mark.parametrize("row", [pytest.param(r, id=f"{r.section}: {r.name}") for r in ROWS])
def test_the_whole_text(row: Situation) -> None:
    assert text_of(row.code) == row.text


@pytest.mark.parametrize("row", [pytest.param(r, id=f"{r.section}: {r.name}") for r in ROWS])
def test_pytorch_refuses_with_the_same_type(row: Situation) -> None:
    theirs = pytest.importorskip("torch")
    assert text_of(row.code, theirs).partition(":")[0] == row.text.partition(":")[0]


def test_the_table_is_large_and_its_names_are_distinct() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS) >= 100


def test_every_text_says_where_what_was_expected_and_what_to_try() -> None:
    for row in ROWS:
        lines = row.text.splitlines()
        assert any(line.startswith("  at train.py:") for line in lines), row.name
        if "of the model's own code" in row.name:
            continue
        assert lines[-2].startswith("  expected "), row.name
        assert lines[-1].startswith("  try "), row.name


def test_the_page_is_what_the_table_says() -> None:
    if not Path(PAGE).exists():
        pytest.skip("runs beside the sources only")
    assert PAGE.read_text(encoding="utf-8") == page(ROWS)


# ----- Many more mistakes -------------------------------------------------------------------------

MISTAKES = [
    line.replace("\\n", "\n")
    for line in Path(__file__).with_name("mistakes.txt").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
]


@pytest.mark.parametrize("code", MISTAKES)
def test_mistakes_are_told_where_what_was_expected_and_what_to_try(code: str) -> None:
    with warnings.catch_warnings(action="ignore"):
        lines = text_of(code).splitlines()
    assert any(line.startswith("  at train.py:") for line in lines), lines
    assert lines[-2].startswith("  expected "), lines
    assert lines[-1].startswith("  try "), lines


@pytest.mark.parametrize("code", MISTAKES)
def test_mistakes_have_pytorchs_type(code: str) -> None:
    theirs = pytest.importorskip("torch")
    with warnings.catch_warnings(action="ignore"):
        assert text_of(code, theirs).partition(":")[0] == text_of(code).partition(":")[0]


# ----- The lines themselves -----------------------------------------------------------------------


def refused(call: Any) -> Exception:
    with pytest.raises(Exception) as caught:  # noqa: PT011
        call()
    return caught.value


def test_the_sentence_stays_alone_in_the_exception() -> None:
    x = torch.ones(2, 3)
    error = refused(lambda: x @ x)
    assert "\n" not in str(error)
    assert text(error).startswith(str(error) + "\n  at ")


def test_errors_can_be_copied_and_sent() -> None:
    x = torch.ones(2, 3)
    error = refused(lambda: x @ x)
    for other in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert type(other) is RuntimeError
        assert text(other) == text(error)


def test_an_error_is_told_once_on_its_way_through_modules() -> None:
    inner = torch.nn.Sequential(torch.nn.Sequential(torch.nn.Linear(2, 3)))
    model = torch.nn.Sequential(inner)
    error = refused(lambda: model(torch.ones(5)))
    assert text(error).count("\n  in ") == 1
    assert "\n  in 0.0.0 (Linear) of Sequential\n" in text(error)


def test_an_error_raised_by_the_model_itself_gets_its_module() -> None:
    class Picky(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            raise KeyError("colour")

    class Plain(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = [Picky()]  # a plain list: not registered

        def forward(self, x: Any) -> Any:
            return self.parts[0](x)

    model = torch.nn.Sequential(Plain())
    error = refused(lambda: model(torch.ones(2)))
    assert type(error) is KeyError
    assert error.args == ("colour",)
    assert error.__notes__ == ["  in 0.Picky (Picky) of Sequential"]


def test_exceptions_that_are_not_errors_pass_untouched() -> None:
    class Stop(Exception):
        pass

    class Stopping(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            raise Stop

    error = refused(lambda: torch.nn.Sequential(Stopping())(torch.ones(2)))
    assert not hasattr(error, "__notes__")


def test_modules_of_other_threads_are_not_named() -> None:
    found: list[Exception] = []

    class Waiting(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            def work() -> None:
                found.append(refused(lambda: x + torch.ones(3)))

            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
            return x

    Waiting()(torch.ones(2))
    assert "\n  in " not in text(found[0])


ASSIGNED = {
    "by a loop": """
for x, y in [(torch.ones(2), torch.ones(3))]:
    print(end="")
    x + y
""",
    "in the caller": """
def add(a, b):
    return a + b
x = torch.ones(2)
add(x, torch.ones(3))
""",
    "in the module's own": """
class Net(nn.Module):
    def forward(self, images):
        return images + torch.ones(3)
x = torch.ones(2)
nn.Sequential(Net())(x)
""",
    "twice": """
x = torch.ones(3)
x = torch.ones(2)
x + torch.ones(3)
""",
    "two at once, in a function": """
x = None
def train(loader):
    for x, y in loader:
        x + y
train([(torch.ones(2), torch.ones(3))])
""",
    "of a closure": """
x = torch.ones(2)
f = lambda: x + torch.ones(3)
f()
""",
}


@pytest.mark.parametrize("name", ASSIGNED)
def test_operands_without_a_graph_have_the_line_that_assigned_them(name: str) -> None:
    code = ASSIGNED[name].strip("\n")
    lines = code.splitlines()
    starts = ("x = ", "for x", "    for x")
    number = max(i for i, line in enumerate(lines, 1) if line.startswith(starts))
    told = f"float32 (2,), assigned at train.py:{number}: {lines[number - 1].strip()}"
    assert told in text_of(code)


UNCERTAIN = {
    "in either branch": """
if len("a"):
    x = torch.ones(2)
else:
    x = torch.zeros(2)
x + torch.ones(3)
""",
    "later in the loop": """
x = torch.ones(3)
for _ in range(2):
    x + torch.ones(3)
    x = torch.ones(2)
""",
    "on the line itself": """
x = torch.ones(2); x + torch.ones(3)
""",
    "to nothing": """
torch.ones(2) + torch.ones(3)
""",
}


@pytest.mark.parametrize("name", UNCERTAIN)
def test_lines_that_are_not_certain_are_not_told(name: str) -> None:
    told = text_of(UNCERTAIN[name].strip("\n"))
    assert "float32 (2,)\n" in told
    assert "assigned" not in told


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("x * torch.ones(4)", "mul"),
        ("x.mul(torch.ones(4))", "mul"),
        ("torch.multiply(x, torch.ones(4))", "multiply"),
        ("torch.cat([x, x], dim=3)", "cat"),
        ("torch.concat([x, x], dim=3)", "concat"),
        ("torch.vstack([x, torch.ones(2, 2)])", "cat in vstack"),
        ("x.expand(3, 3)", "expand"),
        ("torch.linalg.inv(x)", "inv"),
        ("F.linear(x, x[:, :2])", "linear"),
        ("nn.Linear(4, 5)(x)", "linear"),
        ("F.normalize(x, dim=4)", "norm in normalize"),
        ("torch.addmm(x, x, x)", "mm in addmm"),
    ],
)
def test_an_operation_is_called_what_the_program_called_it(line: str, name: str) -> None:
    assert text_of(f"x = torch.ones(2, 3)\n{line}").split(": ")[1] == name


@pytest.mark.parametrize(
    ("between", "told"),
    [
        ("y = 1", ", assigned at cell 1, line 2: x = torch.ones(2)"),
        ("x = torch.zeros(2)", ", assigned at cell 2, line 1: x = torch.zeros(2)"),
        ("def f():\n    x = 1", ", assigned at cell 1, line 2: x = torch.ones(2)"),
        ("if y:\n    x = torch.zeros(2)\nelse:\n    x = torch.ones(2)", ""),
        ("%time x = torch.ones(2)", ""),
    ],
)
def test_assignments_are_looked_for_in_the_cells_of_a_notebook(between: str, told: str) -> None:
    cells = ["", "y = 2\nx = torch.ones(2)", between, "x + torch.ones(3)"]
    namespace: dict[str, Any] = {"torch": torch, "In": cells, "_": None}
    for cell in cells[1:3]:
        exec(cell.replace("%time ", ""), namespace)
    namespace["_"] = namespace["x"]  # as if it had been shown
    error = refused(lambda: exec(compile(cells[3], "cell 3", "exec"), namespace))
    assert f"\n  input is `x`, float32 (2,){told}\n" in text(error)


HELD = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(2, 2)
        self.table = torch.ones(5)

    def forward(self, x):
        return x + self.table

model = Net()
{}
"""


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (
            "model(torch.ones(4))",
            "other is `self.table`, float32 (5,), assigned at train.py:5: self.table = torch.ones(5)\n",
        ),
        (
            "model.head.weight + torch.ones(4)",
            "input is `model.head.weight`, float32 (2, 2), a leaf\n",
        ),
        (
            "model.table + torch.ones(4)",
            "input is `model.table`, float32 (5,), assigned at train.py:5: self.table = torch.ones(5)\n",
        ),
    ],
)
def test_what_a_module_holds_is_told_by_its_path(line: str, told: str) -> None:
    assert told in text_of(HELD.format(line).strip("\n"))


def test_an_error_is_raised_even_if_no_more_can_be_told() -> None:
    class Broken(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return x + torch.ones(7)

        def named_modules(self, *args: Any, **kwargs: Any) -> Any:
            raise ValueError("not today")

    error = refused(lambda: Broken()(torch.nn.Sequential()(torch.ones(3))))
    assert str(error).startswith("add: input is float32 (3,)")
    assert "\n  no more can be told: ValueError: not today" in text(error)


def test_long_lines_are_cut_short() -> None:
    told = text_of(f"x = torch.tensor({list(range(100))})\nx + torch.ones(3)")
    (line,) = (line for line in told.splitlines() if "assigned" in line)
    assert line.endswith("...")
    assert len(line) < 200


def test_many_operands_are_cut_short() -> None:
    parts = [torch.ones(1, i + 1) for i in range(20)]
    error = refused(lambda: torch.cat(parts))
    assert "\n  and 14 more tensors\n" in text(error)


def test_an_error_keeps_nothing_alive() -> None:
    import weakref

    x = torch.ones(2, 3)
    gone = weakref.ref(x)
    try:
        x @ x
    except RuntimeError as error:
        kept = error.with_traceback(None)
        kept.__context__ = None  # the error that was retold
    del x
    assert gone() is None
    assert "float32 (2, 3)" in text(kept)


# ----- Where errors are raised --------------------------------------------------------------------

# What is about files, drawings, declarations or the program's surroundings rather than about tensors.
ELSEWHERE = (
    *(
        "arrays/",
        "backends/",
        "debug/",
        "explanation/",
        "jit/",
        "serialization/",
        "testing/",
        "viz/",
    ),
    *("utils/datasets.py", "utils/event_files.py", "utils/tensorboard.py", "utils/visdom.py"),
    *("op.py", "threads.py", "return_types.py"),
)
KINDS = {"AssertionError", "IndexError", "KeyError", "RuntimeError", "TypeError", "ValueError"}


def plain_raises(path: Path) -> list[int]:
    """Return the lines that raise without `told`, but for what `Op.explain` retells."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    of_forwards: set[int] = set()
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            kinds = [ast.unparse(a.annotation) for a in function.args.args if a.annotation]
            if any(k.startswith(("Array", "np.ndarray", "NDArray")) for k in kinds):
                of_forwards |= {id(node) for node in ast.walk(function)}
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Raise)
        and id(node) not in of_forwards
        and isinstance(node.exc, ast.Call)
        and isinstance(node.exc.func, ast.Name)
        and node.exc.func.id in KINDS
        and not isinstance(node.exc.args[0], ast.Attribute)  # a sentence of the user's
    ]


def test_functions_tell_their_errors() -> None:
    home = Path(torch.__file__).parent
    found = {}
    for folder in (home, home / "nn"):
        for path in sorted(folder.rglob("*.py")):
            name = path.relative_to(home).as_posix()
            if not name.startswith(ELSEWHERE) and (lines := plain_raises(path)):
                found[name] = lines
    assert not found, "raise told(kind, sentence) in these lines"
