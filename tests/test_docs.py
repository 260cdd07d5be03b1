"""The pages of docs/: their examples run, what they quote is in the files, and they fetch nothing."""

from __future__ import annotations
import __future__

import doctest
import functools
import importlib
import importlib.util
import inspect
import re
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

import tinygrad_like as torch
from tinygrad_like.nn.optim.rules import FORMULAS
from tinygrad_like.op import REGISTRY

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
# Of these the first only shows how things look; the others are written by tests of their own.
OTHERS = {"design.md", "coverage.md", "errors.md"}
PAGES = sorted(set(DOCS.glob("*.md")) - {DOCS / name for name in OTHERS})

pytestmark = pytest.mark.skipif(not DOCS.exists(), reason="runs beside the sources only")


class Block(NamedTuple):
    """A fenced piece of a page."""

    kind: str  # "python", "pycon", "{code-cell} python" ...
    options: dict[str, str]
    text: str
    line: int


def blocks(page: Path) -> list[Block]:
    found: list[Block] = []
    kind, start = "", 0
    body: list[str] = []
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if not kind and line.startswith("```"):
            kind, start, body = line[3:].strip() or "text", number, []
        elif kind and line == "```":
            options = {}
            if kind.startswith("{"):
                while body and (match := re.fullmatch(r":([\w-]+):\s*(.*)", body[0])):
                    options[match[1]] = match[2]
                    body = body[1:]
            text = "\n".join(body).strip("\n") + "\n"
            before = start + len(options)
            found.append(Block(kind, options, text, before))
            kind = ""
        elif kind:
            body.append(line)
    assert not kind, f"{page.name}:{start}: this block does not end"
    return found


def is_quotation(block: Block) -> bool:
    return block.kind.startswith("{code-block}") and "caption" in block.options


# ----- Examples -----------------------------------------------------------------------------------


@pytest.fixture
def apart(tmp_path, monkeypatch):
    """Write files elsewhere, and forget what is declared as an op or a rule afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    tables = (REGISTRY, FORMULAS)
    former = [dict(table) for table in tables]
    yield
    for table, entries in zip(tables, former, strict=True):
        table.clear()
        table.update(entries)


@pytest.mark.usefixtures("apart")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_a_page_shows_runs(page):
    needed = {
        "gradient_property": "hypothesis",
        "matplotlib": "matplotlib",
        "SummaryWriter": "tensorboardX",
    }
    for word, library in needed.items():
        if word in page.read_text(encoding="utf-8"):
            pytest.importorskip(library)
    torch.manual_seed(0)
    namespace: dict[str, object] = {"__name__": "__main__"}
    parser = doctest.DocTestParser()
    runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS)
    complaints: list[str] = []
    for block in blocks(page):
        place = f"{page.name}:{block.line}"
        if block.kind == "pycon":
            test = parser.get_doctest(block.text, namespace, place, str(page), block.line)
            runner.run(test, out=complaints.append, clear_globs=False)
            namespace = test.globs
        elif block.kind == "python" or block.kind.startswith("{code-cell}"):
            postponed = namespace.get("annotations") is __future__.annotations
            code = compile(
                "\n" * block.line + block.text,
                str(page),
                "exec",
                flags=__future__.annotations.compiler_flag if postponed else 0,
                dont_inherit=True,
            )
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", category=RuntimeWarning, module="tinygrad_like")
                warnings.filterwarnings("ignore", category=torch.debug.TrapWarning)
                exec(code, namespace)
    # A page may define tests for the reader to copy: they hold too.
    for name, value in namespace.items():
        if name.startswith("test_") and callable(value):
            value()
    if complaints:
        pytest.fail("".join(complaints), pytrace=False)


# ----- Classes that run on PyTorch too ------------------------------------------------------------

OWN = (
    "tinygrad_like.op import",
    "tinygrad_like.testing",
    "@op(",
    "@elementwise",
)  # what PyTorch has not


def written_for(name):
    """Return what the page defines in PyTorch's own ways, with `name` imported as torch."""
    namespace = {"np": np, "__name__": name}
    for block in blocks(DOCS / "extending.md"):
        if block.kind == "python" and not any(own in block.text for own in OWN):
            text = block.text.replace("tinygrad_like", name)
            exec(compile(f"import {name} as torch\n{text}", "extending.md", "exec"), namespace)
    return namespace


def test_what_the_page_writes_runs_on_pytorch_with_the_same_results():
    theirs = pytest.importorskip("torch")
    found = []
    for framework, page in ((torch, written_for("tinygrad_like")), (theirs, written_for("torch"))):
        x = framework.tensor([-1.0, 0.5, 3.0], requires_grad=True)
        y = page["LogCosh"].apply(x)
        y.sum().backward()
        framework.manual_seed(0)
        layer = page["Gated"](3, 2)
        gated = layer(framework.randn(5, 3))
        w, loss = page["train"](lambda params, page=page: page["Lion"](params, lr=0.01), steps=50)
        optimizer = framework.optim.SGD([framework.zeros(1)], lr=0.8)
        schedule = page["Warmup"](optimizer, steps=4)
        rates = []
        for _ in range(8):
            optimizer.step()
            schedule.step()
            rates.append(schedule.get_last_lr()[0])
        arrays = [t.detach().numpy() for t in (y, x.grad, gated, w)]
        found.append((arrays, loss, rates, sorted(layer.state_dict())))
    (ours, *rest), (pytorchs, *others) = found
    for here, there in zip(ours, pytorchs, strict=True):
        np.testing.assert_allclose(here, there, rtol=1e-5, atol=1e-6)
    assert rest[0] == pytest.approx(others[0], rel=1e-4)
    assert rest[1:] == others[1:]


def test_pages_have_examples_and_quotations():
    kinds = [block.kind for page in PAGES for block in blocks(page)]
    quoted = {
        block.options["caption"] for page in PAGES for block in blocks(page) if is_quotation(block)
    }
    assert sum(kind in ("python", "pycon") for kind in kinds) > 30
    assert quoted >= {
        f"tinygrad_like/{name}.py" for name in ("graph", "op", "ops/arithmetic", "tensor")
    }


# ----- Quotations ---------------------------------------------------------------------------------


def stands_in(quotation: str, text: str) -> bool:
    """Return True if these very lines stand in a text, one after the other, however far indented."""
    wanted = textwrap.dedent(quotation).rstrip("\n").split("\n")
    lines = text.split("\n")
    return any(
        textwrap.dedent("\n".join(lines[at : at + len(wanted)])).split("\n") == wanted
        for at in range(len(lines) - len(wanted) + 1)
        if lines[at].strip() == wanted[0].strip()
    )


QUOTATIONS = [
    pytest.param(block, id=f"{page.name}:{block.line}")
    for page in PAGES
    for block in blocks(page)
    if is_quotation(block)
]


@pytest.mark.parametrize("block", QUOTATIONS)
def test_what_a_page_quotes_is_in_the_file(block):
    path = ROOT / block.options["caption"]
    assert stands_in(block.text, path.read_text(encoding="utf-8")), (
        f"{block.options['caption']} has changed; the page quotes:\n{block.text}"
    )


def test_a_changed_line_is_noticed():
    text = "def f(x):\n    if x:\n        return 1\n    return 2\n"
    assert stands_in("if x:\n    return 1\n", text)
    assert stands_in("    if x:\n        return 1\n    return 2\n", text)
    assert not stands_in("if x:\n    return 2\n", text)
    assert not stands_in("if x:\n    return 1\nreturn 3\n", text)
    assert not stands_in("if x:\nreturn 1\n", text)


# ----- Links and resources ------------------------------------------------------------------------


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md"], ids=lambda page: page.stem)
def test_files_that_a_page_names_exist(page):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"(?:\]\(|src=\")(?!https?:|#)([^)\"#\s]+)", text):
        assert (page.parent / target).exists() or target.startswith("reference/"), target
    for name in re.findall(r"`((?:tinygrad_like|nn|examples|tests|docs)/[\w/.]+)`", text):
        assert (ROOT / name).exists() or name == "examples/out/", name  # made by the examples


def extension():
    """Return docs/self_contained.py as a module."""
    pytest.importorskip("sphinx")
    spec = importlib.util.spec_from_file_location("self_contained", DOCS / "self_contained.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_a_browser_would_fetch_is_found(tmp_path):
    own = (
        '<script src="_static/a.js"></script><link rel="stylesheet" href="a.css"/><img src="a.png">'
    )
    links = (
        '<a href="https://example.org">there</a><link rel="canonical" href="https://example.org">'
    )
    (tmp_path / "good.html").write_text(own + links)
    (tmp_path / "good.css").write_text("a { background: url(a.svg) }")
    assert list(extension().fetched(tmp_path)) == []
    for number, bad in enumerate(
        (
            '<script async="async" src="https://cdn.example.org/a.js"></script>',
            '<link href="//fonts.example.org/a" rel="stylesheet">',
            '<link rel="stylesheet" type="text/css" href="https://fonts.example.org/a">',
            '<img alt="" src="http://example.org/a.png">',
            "<style>@import url(https://fonts.example.org/a);</style>",
            "<style>@font-face { src: url('https://fonts.example.org/a') }</style>",
        )
    ):
        (tmp_path / "bad.html").write_text(bad)
        assert list(extension().fetched(tmp_path)), (number, bad)


def test_a_page_with_a_formula_is_built_of_itself_alone(tmp_path):
    for name in ("sphinx", "furo", "myst_nb"):
        pytest.importorskip(name)
    source, target = tmp_path / "source", tmp_path / "html"
    source.mkdir()
    (source / "index.md").write_text(
        "# A page\n\nInline $\\frac{\\partial L}{\\partial x}$.\n\n$$\n\\sum_i g_i y_i^2\n$$\n\n"
        "```python\nx = 1\n```\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-W", "-c", DOCS, "-D", "reference_pages=0",
         "-D", "html_static_path=", source, target],
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    page = (target / "index.html").read_text(encoding="utf-8")
    assert page.count("<math ") == 2
    assert "<mfrac>" in page
    assert 'display="block"' in page
    assert not re.search(r"<script[^>]*mathjax", page, re.IGNORECASE)
    assert list(extension().fetched(target)) == []


# ----- The reference ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """The pages of the reference, as text, and the extension that wrote them."""
    pytest.importorskip("sphinx")
    folder = tmp_path_factory.mktemp("docs")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(DOCS))
        import reference_pages
    (folder / "coverage.md").write_text((DOCS / "coverage.md").read_text(encoding="utf-8"))
    written = reference_pages.write(folder)
    assert written == reference_pages.write(folder)  # again, onto what is there
    return reference_pages, {path.stem: path.read_text(encoding="utf-8") for path in written}


def described(page):
    """Return the names that a page of the reference describes."""
    autos = re.findall(
        r"^\.\. auto(?:function|method|attribute|class):: (\S+)$", page, re.MULTILINE
    )
    data = re.findall(r"^\.\. data:: (.+(?:\n {10}.+)*)$", page, re.MULTILINE)
    return {*autos, *" ".join(data).split()}


def test_the_reference_has_every_public_name(reference):
    pages, written = reference
    names = {name for page, text in written.items() if "." not in page for name in described(text)}
    public = {name for name in dir(torch) if not name.startswith("_")}
    modules = {name for name in public if inspect.ismodule(getattr(torch, name))}
    assert public - modules - names == set()
    assert set(torch.nn.functional.__all__) - names == set()
    methods = {name for name in dir(torch.Tensor) if not name.startswith("_")}
    slots = {"array", "node"} | {
        m for m in methods if not pages._is_method(m, getattr(torch.Tensor, m))
    }
    assert {f"Tensor.{name}" for name in methods - slots} - names == set()
    # Those that hold nothing but modules, and the one whose functions are at the top.
    assert {m for m in modules if f"m.{m}" not in written} == {"backends", "signal", "utils"}
    for page in (page for page in written if page.startswith("m.")):
        module = importlib.import_module(f"tinygrad_like.{page[2:]}")
        own = getattr(module, "__all__", ())
        own = {n for n in own if callable(getattr(module, n))}
        assert own - described(written[page]) == set(), page


def test_each_page_of_the_reference_describes_something(reference):
    _, written = reference
    for name, page in written.items():
        assert name == "index" or described(page), name
        assert name == "index" or re.search(
            rf"^   {re.escape(name)}$", written["index"], re.MULTILINE
        )


# What takes anything, as PyTorch's does, since it hands on what it is given.
OPEN = {"Tensor.to"}


def test_public_functions_say_what_they_take(reference):
    _, written = reference
    vague = set()
    for name in sorted(described("\n".join(t for p, t in written.items() if "." not in p))):
        home = torch if hasattr(torch, name.partition(".")[0]) else torch.nn.functional
        value = functools.reduce(getattr, name.split("."), home)
        if inspect.isroutine(value):
            kinds = [p.kind for p in inspect.signature(value).parameters.values()]
            if kinds[-2:] == [inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD]:
                vague.add(name)
    assert vague == OPEN


def test_only_what_is_public_is_shown():
    inner = {"blas", "deferred", "keywords", "lines", "ops", "outs", "stamps", "views", "arrays"}
    assert not inner & set(dir(torch))
    assert {"autograd", "backends", "linalg", "nn", "optim", "viz"} <= set(dir(torch))
    for module in (torch.autograd, torch.debug, torch.nn, torch.nn.utils, torch.utils, torch.viz):
        assert set(module.__all__) <= set(dir(module)), module
        assert not {"Any", "annotations", "importlib", "hooks"} & set(dir(module)), module
    assert str(inspect.signature(torch.dropout)) == "(input, p=0.5, train=True)"
    assert list(inspect.signature(torch.Tensor.igamma).parameters) == ["input", "other"]
    assert list(inspect.signature(torch.nn.RNN).parameters)[3:5] == ["nonlinearity", "bias"]
    assert "proj_size" in inspect.signature(torch.nn.LSTM).parameters
    assert "proj_size" not in inspect.signature(torch.nn.GRU).parameters
