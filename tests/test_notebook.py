"""What a notebook shows of tensors, modules, summaries and graphs; the tutorial runs."""

import base64
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import tinygrad_like as torch
from tinygrad_like import nn, viz

TUTORIAL = Path(__file__).parent.parent / "docs" / "tutorial.ipynb"


class Page(HTMLParser):
    """Reads HTML, and demands that every tag is closed; keeps the texts of cells, chips and pictures."""

    def __init__(self, html):
        super().__init__()
        self.open, self.cells, self.chips, self.pictures, self.texts = [], [], [], [], []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        if tag == "tr":
            self.cells.append([])
        if tag == "img":
            self.pictures.append(dict(attrs))
        else:
            self.open.append((tag, dict(attrs).get("class", "")))

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        if not self.open:
            return
        tag, kind = self.open[-1]
        if tag in ("td", "th"):
            self.cells[-1].append(data)
        if kind == "tgl-chip":
            self.chips.append(data)
        if tag != "style":
            self.texts.append(data)

    @property
    def text(self):
        return " ".join(self.texts)


def page(thing):
    html = thing._repr_html_()
    assert "http" not in html.replace("http://www.w3.org", "")  # nothing is loaded
    assert "<script" not in html
    return Page(html)


def pixels(picture):
    image = pytest.importorskip("PIL.Image")
    data = base64.b64decode(picture["src"].removeprefix("data:image/png;base64,"))
    return np.asarray(image.open(io.BytesIO(data)))


# ----- Tensors ------------------------------------------------------------------------------------


def test_small_tensors_are_tables():
    x = torch.tensor([[1.0, -2.5], [0.0, 1e-7]], requires_grad=True)
    shown = page(x)
    assert shown.cells == [["1", "-2.5"], ["0", "1e-07"]]
    assert shown.chips == ["2 x 2", "float32", "requires grad"]
    assert "from -2.5 to 1, mean -0.375" in shown.text
    assert page(x * 2).chips == ["2 x 2", "float32", "from MulBackward0"]
    assert "Parameter" in page(nn.Linear(1, 1).weight).texts


@pytest.mark.parametrize(
    ("made", "cells", "chips"),
    [
        (lambda: torch.arange(3), [["0", "1", "2"]], ["3", "int64"]),
        (lambda: torch.tensor([True, False]), [["True", "False"]], ["2", "bool"]),
        (lambda: torch.zeros(0, 3), [], ["0 x 3", "float32"]),
        (lambda: torch.tensor([7], dtype=torch.uint8), [["7"]], ["1", "uint8"]),
    ],
)
def test_kinds_of_tensors(made, cells, chips):
    shown = page(made())
    assert shown.cells == cells
    assert shown.chips == chips


def test_one_number_stands_beside_what_it_is():
    for value, told in ((3.5, "3.5"), (7, "7"), (True, "True"), (float("nan"), "nan")):
        shown = page(torch.tensor(value))
        assert shown.chips == ["scalar", str(torch.tensor(value).dtype).removeprefix("torch.")]
        assert shown.texts[-1] == told
        assert not shown.cells


def test_strange_numbers_are_told():
    x = torch.tensor([1.0, float("nan"), float("inf"), -float("inf")])
    shown = page(x)
    assert "1 nan, 2 inf" in shown.text
    assert "and else all 1" in shown.text
    big = torch.zeros(20, 20)
    big[3, 4] = float("nan")
    assert pixels(page(big).pictures[0])[3, 4].tolist() == [190, 40, 210, 255]


def test_larger_tensors_are_heat_maps():
    values = torch.linspace(-1, 2, 600).reshape(20, 30)
    (picture,) = page(values).pictures
    shown = pixels(picture)
    assert shown.shape == (20, 30, 4)
    assert (int(picture["width"]), int(picture["height"])) == (9 * 30, 9 * 20)
    expected = np.round(255 * np.abs(values.numpy().astype(np.float64)) / 2)
    assert np.array_equal(shown[..., 3], expected)
    below = values.numpy() < 0
    assert (shown[below][:, 2] > shown[below][:, 0]).all()  # blue
    assert (shown[~below][:, 0] > shown[~below][:, 2]).all()  # red


def test_cells_of_large_heat_maps_are_means():
    values = torch.rand(100, 200)
    shown = page(values)
    assert "each cell the mean of 2 x 3" in shown.text
    opacity = pixels(shown.pictures[0])[..., 3]
    means = np.array(
        [
            [values.numpy()[2 * i : 2 * i + 2, 3 * j : 3 * j + 3].mean() for j in range(67)]
            for i in range(50)
        ]
    )
    assert opacity.shape == (50, 67)
    assert np.abs(opacity - 255 * means / means.max()).max() <= 0.51


def test_of_many_short_rows_the_ends_are_shown():
    values = torch.arange(2000).reshape(1000, 2)
    shown = page(values)
    assert not shown.pictures
    assert shown.cells[0] == ["0", "1"]
    assert shown.cells[3:6] == [["6", "7"], ["992 more rows"], ["1992", "1993"]]
    assert shown.cells[-1] == ["1998", "1999"]
    assert len(page(torch.arange(500)).pictures) == 1  # one long row


def test_more_dimensions_are_slices():
    shown = page(torch.arange(24).reshape(2, 3, 2, 2))
    assert len(shown.cells) == 12
    assert [text for text in shown.texts if text.startswith("[")] == [
        f"[{i}, {j}]" for i in range(2) for j in range(3)
    ]
    shown = page(torch.randn(20, 1, 28, 28))
    assert len(shown.pictures) == 8
    assert "and 12 more" in shown.text


def test_colours_are_explained():
    assert "blue is -2, red 2" in page(torch.linspace(-1, 2, 600).reshape(20, 30)).text
    assert "red is 3" in page(torch.full((20, 20), 3)).text
    shown = page(torch.linspace(0, 1, 1200).reshape(3, 20, 20) - 0.25)
    assert shown.text.count("blue is -0.75, red 0.75") == 1
    assert "red is 1" in page(torch.ones(30, 30).bool()).text


@pytest.mark.parametrize("of_bytes", [True, False])
def test_images_are_shown_in_colour(of_bytes):
    values = np.random.default_rng(0).integers(0, 256, (2, 3, 20, 16)).astype(np.uint8)
    images = torch.tensor(values) if of_bytes else torch.tensor(values) / 255
    shown = page(images)
    assert [picture["alt"] for picture in shown.pictures] == ["picture"] * 2 + ["heat map"] * 6
    assert "[1] in colour" in shown.texts
    found = pixels(shown.pictures[1])
    assert np.array_equal(found[..., :3], values[1].transpose(1, 2, 0))
    assert (found[..., 3] == 255).all()
    one = page(images[0])
    assert one.pictures[0]["alt"] == "picture"
    assert "in colour" in one.texts


def test_other_tensors_of_three_channels_are_no_images():
    for values in (torch.rand(3, 20, 20) * 2, -torch.rand(3, 20, 20), torch.rand(3, 5, 5)):
        assert all(picture["alt"] == "heat map" for picture in page(values).pictures)
    assert all(p["alt"] == "heat map" for p in page(torch.ones(3, 20, 20).bool()).pictures)
    large = torch.rand(3, 1000, 600)
    assert pixels(page(large).pictures[0]).shape == (250, 150, 4)


def test_size_of_a_large_tensor_on_the_page():
    assert len(torch.randn(50, 3, 300, 400)._repr_html_()) < 500_000


# ----- Modules and summaries ----------------------------------------------------------------------


def small():
    inner = nn.Sequential(nn.Conv2d(1, 4, 3, bias=False), nn.ReLU())
    net = nn.Sequential(inner, nn.Flatten(), nn.Linear(16, 2))
    inner[0].weight.requires_grad_(False)
    return net


def test_modules_are_trees():
    html = small()._repr_html_()
    shown = Page(html)
    assert shown.chips == ["70 parameters", "280 bytes", "36 fixed", "training"]
    assert html.count("<details open>") == 1
    assert html.count("<details>") == 3  # inner, its convolution, the last layer
    assert "4 x 1 x 3 x 3 float32 fixed" in shown.texts
    assert "in_features=16, out_features=2, bias=True" in shown.texts
    assert re.findall(r'title="([\d.]+%)"', html) == ["51.4%", "51.4%", "48.6%"]
    assert page(nn.ReLU().eval()).chips == ["no parameters", "evaluating"]


def test_parameters_without_a_shape():
    shown = page(nn.Sequential(nn.LazyLinear(3), nn.Linear(3, 2)))
    waiting = "and 2 of shapes that come with the first input"
    assert shown.chips == ["8 parameters", "32 bytes", waiting, "training"]
    assert shown.texts.count("weight") == 2
    chips = page(nn.LazyLinear(3).weight).chips
    assert chips == ["its shape comes with the first input"]


def test_names_are_escaped():
    class Odd(nn.Module):
        def extra_repr(self):
            return "<b>&"

    net = nn.ModuleDict({"a<b": Odd()})
    assert "a<b" in page(net).texts
    assert "<b>&" in page(net).texts


def test_names_are_text_wherever_they_are_shown():
    hostile = "<img src=x onerror=alert(1)>"
    Hostile = type(hostile, (nn.Linear,), {"extra_repr": lambda self: hostile})
    Function = type(
        hostile,
        (torch.autograd.Function,),
        {"forward": staticmethod(lambda ctx, x: x * 2), "backward": staticmethod(lambda ctx, g: g)},
    )
    net = nn.Sequential(Hostile(2, 2))
    loss = Function.apply(net(torch.ones(1, 2))).sum()
    names = {hostile: net[0].weight}
    lesson = torch.explain(loss, params=names, check=True, show=False)
    things = [
        net,
        torch.summary(net, (1, 2)),
        Function.apply(net(torch.ones(1, 2))),
        lesson,
        lesson[:2],
    ]
    shown = [thing._repr_html_() for thing in things]
    shown.append(torch.explain(loss, params=names, show=False, limit=1)._repr_html_())
    shown.append(viz.draw(loss, names, show_rules=True)._repr_svg_())
    for html in shown:
        assert "alert(1)" in html
        assert "<img src=x" not in html


def test_summaries_are_tables():
    found = torch.summary(small(), (2, 1, 4, 4))
    shown = page(found)
    assert shown.cells[0] == ["Layer", "Output", "Parameters", "Multiply-adds"]
    assert shown.cells[-1] == ["└─Linear (2): 1-3", "2 x 2", "34", "64"]
    assert shown.cells[3][0] == "│   ├─Conv2d (0): 2-1"
    lines = str(found).splitlines()
    assert len(shown.cells) == 1 + lines.index("=" * 90, 3) - 3
    assert "70 parameters, 36 fixed" in shown.texts
    assert "352 multiply-adds" in shown.texts
    assert "multiply-adds" not in page(torch.summary(small())).text.replace("Multiply-adds", "")


# ----- In a notebook ------------------------------------------------------------------------------


def test_a_notebook_asks_for_these():
    formatter = pytest.importorskip("IPython.core.formatters").DisplayFormatter()
    w = torch.ones(2, requires_grad=True)
    for thing in (w, nn.ReLU(), torch.summary(nn.ReLU())):
        data, _ = formatter.format(thing)
        assert data["text/html"] == thing._repr_html_()
        assert data["text/plain"] == repr(thing)
    data, _ = formatter.format(viz.draw(w.sum()))
    assert data["image/svg+xml"].rstrip().endswith("</svg>")


def test_a_notebook_shows_plots_without_pyplot():
    pytest.importorskip("matplotlib")
    formatter = pytest.importorskip("IPython.core.formatters").DisplayFormatter()
    data, _ = formatter.format(viz.weights(torch.randn(3, 1, 2, 2)))
    png = data["image/png"]
    assert (base64.b64decode(png) if isinstance(png, str) else png).startswith(b"\x89PNG")


def executed(path, cells):
    """Run a notebook's cells as Jupyter does; return all that they print and show as HTML."""
    for package in ("nbclient", "ipykernel"):
        pytest.importorskip(package)
    import nbclient
    import nbformat

    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_code_cell(cell) for cell in cells]
    resources = {"metadata": {"path": str(path)}}
    nbclient.NotebookClient(notebook, timeout=120, resources=resources).execute()
    return [
        "".join(
            output.get("text", "") + output.get("data", {}).get("text/html", "")
            for output in cell.outputs
        )
        for cell in notebook.cells
    ]


@pytest.fixture
def jupyter(tmp_path, monkeypatch):
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    return tmp_path


def test_places_are_cells_and_their_lines(jupyter):
    told = executed(
        jupyter,
        [
            "import tinygrad_like as torch\nfrom tinygrad_like import viz",
            "x = torch.tensor([1.0, 2.0], requires_grad=True)\ny = x * x",
            """class Cube(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 3

    @staticmethod
    def backward(ctx, g):
        return g

lesson = torch.explain(Cube.apply(y).sum(), check=True)
print(lesson, lesson.wrong.place)
print(viz.draw(y).source)
lesson""",
            "try:\n    y @ torch.ones(3)\nexcept RuntimeError as error:\n    print(torch.debug.text(error))",
        ],
    )
    assert "at cell 2, line 2\n    y = x * x\n" in told[2]
    assert "cell 3, line 6\n" in told[2]  # where Cube's rule begins
    assert 'tooltip="cell 2, line 2"' in told[2]
    assert "at cell 2, line 2</p>" in told[2]  # the lesson as HTML
    assert "at cell 4, line 2: y @ torch.ones(3)" in told[3]
    assert "made by Mul at cell 2, line 2: y = x * x" in told[3]
    assert "ipykernel" not in "".join(told)


in_checkout = pytest.mark.skipif(not TUTORIAL.exists(), reason="runs beside the documentation only")


@in_checkout
def test_the_tutorial_is_stored_without_outputs():
    stored = json.loads(TUTORIAL.read_text())
    code = [cell for cell in stored["cells"] if cell["cell_type"] == "code"]
    assert len(code) > 5
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


@in_checkout
def test_the_tutorial_runs(jupyter):
    for package in ("nbclient", "ipykernel", "matplotlib"):
        pytest.importorskip(package)
    import nbclient
    import nbformat

    notebook = nbformat.read(TUTORIAL, as_version=4)
    resources = {"metadata": {"path": str(jupyter)}}
    nbclient.NotebookClient(notebook, timeout=120, resources=resources).execute()
    shown = [
        set(output["data"])
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if output.output_type == "execute_result"
    ]
    kinds = [kind for kinds in shown for kind in kinds]
    assert kinds.count("text/html") >= 4  # tensors, a module, a summary
    assert kinds.count("image/png") >= 4  # plots
    assert kinds.count("image/svg+xml") >= 2  # graphs
    printed = "".join(
        output.text
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if output.output_type == "stream"
    )
    (accuracy,) = re.findall(r"([\d.]+)% of new points", printed)
    assert float(accuracy) > 95
    assert not [line for line in printed.splitlines() if "arning" in line]
