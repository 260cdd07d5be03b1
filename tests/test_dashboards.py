"""What is written for TensorBoard and sent to Visdom, read back from real servers of both."""

import base64
import io
import json
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from contextlib import contextmanager

import numpy as np
import pytest

import tinygrad_like as torch
from tinygrad_like import nn, viz
from tinygrad_like.utils.tensorboard import SummaryWriter

# No proxy: everything is on this machine.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def get(url, **query):
    """Return what the address says, from JSON where it is."""
    if query:
        url += "?" + urllib.parse.urlencode(query)
    with OPENER.open(url, timeout=20) as answer:
        content = answer.read()
        return json.loads(content) if "json" in answer.headers["Content-Type"] else content


def post(url, **values):
    request = urllib.request.Request(
        url, json.dumps(values).encode(), {"Content-Type": "application/json"}
    )
    with OPENER.open(request, timeout=20) as answer:
        return json.loads(answer.read())


@contextmanager
def server(folder, *command):
    """Run a server of this Python, its words in a file, until the end of the block."""
    log = folder / "server.log"
    with log.open("wb") as words:
        process = subprocess.Popen(
            [sys.executable, *map(str, command)], cwd=folder, stdout=words, stderr=words
        )
    try:
        yield log, process
    finally:
        process.terminate()
        process.wait(20)


def wait_for(question, log, process, seconds=90):
    """Return the first answer that is not None."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        if (answer := question()) is not None:
            return answer
        time.sleep(0.1)
    raise AssertionError(f"the server does not answer: {log.read_text()[-2000:]}")


class Net(nn.Module):
    """Two blocks, one of them called twice, of an index and a vector."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(5, 4)
        self.body = nn.Sequential(nn.Linear(4, 4), nn.ReLU(inplace=True))
        self.head = nn.Linear(4, 2)

    def forward(self, index, x):
        x += self.embed(index)
        return self.head(self.body(self.body(x))).chunk(2, 1)


def net():
    torch.manual_seed(0)
    return Net(), (torch.tensor([1, 2, 3]), torch.ones(3, 4))


# ----- TensorBoard --------------------------------------------------------------------------------


def write_run(folder):
    """Write something of everything; return what the curves and histograms were made of."""
    values = np.random.default_rng(0).normal(size=(3, 500)).astype(np.float32)
    plt = pytest.importorskip("matplotlib.figure")
    with SummaryWriter(folder) as writer:
        for step in range(3):
            writer.add_scalar("train/loss", torch.tensor(1.0 / (step + 1)), step)
            writer.add_scalar("train/new", step / 7, step, new_style=True, double_precision=True)
            writer.add_scalars("both", {"a": torch.tensor(step), "b": -step}, step)
            writer.add_histogram("weight", torch.tensor(values[step]).requires_grad_(), step)
        steps = torch.linspace(-1, 2, 16).reshape(1, 4, 4)  # partly out of range
        writer.add_image("picture", steps, 5)
        writer.add_images("pictures", steps[None].expand(3, 3, 4, 4))
        boxes = torch.tensor([[0, 0, 2, 2]])
        writer.add_image_with_boxes("boxes", steps.expand(3, 4, 4), boxes, labels=["it"])
        figure = plt.Figure(figsize=(2, 1))
        figure.subplots().plot([0, 1])
        writer.add_figure("figure", figure)
        writer.add_text("note", "**bold**", 1)
        writer.add_pr_curve("pr", torch.tensor([0, 1, 1]), torch.tensor([0.1, 0.9, 0.4]))
        writer.add_mesh("mesh", torch.rand(1, 5, 3))
        writer.add_custom_scalars({"all": {"loss": ["Multiline", ["train/loss"]]}})
        writer.add_embedding(torch.eye(4), ["a", "b", "c", "d"], torch.rand(4, 1, 6, 6), tag="eye")
        settings = {"lr": 0.25, "bias": True, "kind": "wide"}
        domain = {"kind": ["wide", "deep"], "lr": [0.25, 0.5]}
        writer.add_hparams(settings, {"hp/accuracy": torch.tensor(0.75)}, domain, "tried")
        writer.add_audio("sound", torch.linspace(0, 400, 8000).sin()[None], sample_rate=8000)
        writer.add_video("film", torch.rand(1, 5, 3, 8, 8))
        model, inputs = net()
        writer.add_graph(model, inputs)
    return values


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    """Return the address of a TensorBoard that shows a run, and the values of its histograms."""
    pytest.importorskip("tensorboardX")
    pytest.importorskip("tensorboard")
    folder = tmp_path_factory.mktemp("board")
    values = write_run(folder / "runs")
    options = ["--logdir", folder / "runs", "--host", "127.0.0.1", "--port", 0]

    def address():
        found = re.search(r"at (http://127.0.0.1:\d+)/", log.read_text())
        return found and found[1]

    with server(folder, "-m", "tensorboard.main", "--load_fast=false", *options) as (log, process):
        url = wait_for(address, log, process)

        def loaded():  # runs are listed before all of them is read; these are what was written last
            graph = get(url + "/data/plugin/graphs/info").get(".", {}).get("run_graph")
            curves = get(url + "/data/plugin/scalars/tags")
            if not graph or "hp/accuracy" not in curves.get("tried", ()):
                return None
            if not all("both" in curves.get(f"both_{name}", ()) for name in "ab"):
                return None
            found = [
                get(url + "/data/plugin/scalars/scalars", run=f"both_{name}", tag="both")
                for name in "ab"
            ]
            return True if [len(points) for points in found] == [3, 3] else None

        wait_for(loaded, log, process)
        yield url, values


@pytest.mark.parametrize(
    ("run", "tag", "expected"),
    [
        (".", "train/loss", [1, 1 / 2, 1 / 3]),
        (".", "train/new", [0, 1 / 7, 2 / 7]),
        ("both_a", "both", [0, 1, 2]),
        ("both_b", "both", [0, -1, -2]),
        ("tried", "hp/accuracy", [0.75]),
    ],
)
def test_curves_are_read_back(board, run, tag, expected):
    found = get(board[0] + "/data/plugin/scalars/scalars", run=run, tag=tag)
    assert [step for _, step, _ in found] == list(range(len(expected)))
    assert [value for _, _, value in found] == pytest.approx(expected, rel=1e-6)


def test_histograms_are_read_back(board):
    url, values = board
    found = get(url + "/data/plugin/histograms/histograms", run=".", tag="weight")
    assert [step for _, step, _ in found] == [0, 1, 2]
    for (_, _, bins), numbers in zip(found, values, strict=True):
        assert sum(count for _, _, count in bins) == pytest.approx(numbers.size)
        assert bins[0][0] == pytest.approx(numbers.min())
        assert bins[-1][1] == pytest.approx(numbers.max())
        # TensorBoard spreads a bin's values evenly.
        below = sum(c * min(max(-a / (b - a), 0), 1) for a, b, c in bins)
        assert below == pytest.approx((numbers < 0).sum(), abs=4)


def test_pictures_are_read_back(board):
    image = pytest.importorskip("PIL.Image")
    url, _ = board
    tags = get(url + "/data/plugin/images/tags")["."]
    assert set(tags) == {"picture", "pictures", "boxes", "figure", "film"}
    listed = get(url + "/data/plugin/images/images", run=".", tag="picture", sample=0)
    assert [entry["step"] for entry in listed] == [5]
    with OPENER.open(url + "/data/plugin/images/individualImage?" + listed[0]["query"]) as answer:
        pixels = np.asarray(image.open(answer))
    expected = np.clip(np.linspace(-1, 2, 16), 0, 1).reshape(4, 4) * 255
    assert np.abs(pixels[..., 0] - expected).max() < 1.5


def test_films_and_sounds_are_read_back(board):
    image = pytest.importorskip("PIL.Image")
    url, _ = board
    for plugin, tag, start in (("images", "film", b"GIF89a"), ("audio", "sound", b"RIFF")):
        kind = plugin.removesuffix("s")
        (listed,) = get(f"{url}/data/plugin/{plugin}/{plugin}", run=".", tag=tag, sample=0)
        query = f"{url}/data/plugin/{plugin}/individual{kind.title()}?" + listed["query"]
        with OPENER.open(query) as answer:
            content = answer.read()
        assert content.startswith(start)
        if kind == "image":
            assert image.open(io.BytesIO(content)).n_frames == 5


def test_text_and_curves_of_precision_and_meshes_are_read_back(board):
    url, _ = board
    (text,) = get(url + "/data/plugin/text/text", run=".", tag="note/text_summary")
    assert "<strong>bold</strong>" in text["text"]
    found = get(url + "/data/plugin/pr_curves/pr_curves", run=".", tag="pr")
    assert found["."][0]["recall"][0] == 1
    assert "mesh" in get(url + "/data/plugin/mesh/tags")["."]
    layout = get(url + "/data/plugin/custom_scalars/layout")
    assert layout["category"][0]["chart"][0]["multiline"]["tag"] == ["train/loss"]


def test_embeddings_are_read_back(board):
    url, _ = board
    info = get(url + "/data/plugin/projector/info", run=".")
    (embedding,) = info["embeddings"]
    name = embedding["tensorName"]
    raw = get(url + "/data/plugin/projector/tensor", run=".", name=name)
    assert np.array_equal(np.frombuffer(raw, np.float32).reshape(4, 4), np.eye(4))
    labels = get(url + "/data/plugin/projector/metadata", run=".", name=name)
    assert labels.split() == [b"a", b"b", b"c", b"d"]


def test_settings_are_read_back(board):
    url, _ = board
    experiment = post(url + "/data/plugin/hparams/experiment")
    infos = {info["name"]: info for info in experiment["hparamInfos"]}
    assert infos["kind"]["domainDiscrete"] == ["wide", "deep"]
    assert infos["lr"]["domainDiscrete"] == [0.25, 0.5]
    groups = post(
        url + "/data/plugin/hparams/session_groups",
        startIndex=0,
        sliceSize=10,
        colParams=[],
        allowedStatuses=["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_RUNNING"],
    )
    (group,) = groups["sessionGroups"]
    assert group["hparams"] == {"lr": 0.25, "bias": 1, "kind": "wide"}
    assert group["metricValues"][0]["value"] == pytest.approx(0.75)


def test_the_graph_is_read_back(board):
    formats = pytest.importorskip("google.protobuf.text_format")
    graphs = pytest.importorskip("tensorboardX.proto.graph_pb2")
    read = formats.Parse(
        get(board[0] + "/data/plugin/graphs/graph", run=".", conceptual="false"),
        graphs.GraphDef(),
    )
    edges = {node.name: list(node.input) for node in read.node}
    for name, inputs in edges.items():
        for source in inputs:
            assert source.partition(":")[0] in edges, (name, source)
    first, second, head = "Net/Sequential[body]", "Net/Sequential[body]_1", "Net/Linear[head]"
    assert edges["Net/Embedding[embed]/embedding"] == ["Net/Embedding[embed]/weight", "input/1"]
    assert edges["Net/add"] == ["input/2", "Net/Embedding[embed]/embedding"]
    shared = ["Net/body.0.weight", "Net/body.0.bias"]
    assert edges[f"{first}/Linear[0]/linear"] == ["Net/add", *shared]
    assert edges[f"{second}/Linear[0]/linear"] == [f"{first}/ReLU[1]/relu", *shared]
    own = [f"{head}/weight", f"{head}/bias"]
    assert edges[f"{head}/linear"] == [f"{second}/ReLU[1]/relu", *own]
    assert edges["output/2"] == ["Net/split:1"]
    (operation,) = (node for node in read.node if node.name == f"{head}/linear")
    sizes = operation.attr["_output_shapes"].list.shape[0].dim
    assert [dim.size for dim in sizes] == [3, 2]
    assert operation.attr["grad_fn"].s == b"AddmmBackward0"
    assert operation.attr["line"].s.startswith(b"test_dashboards.py:")


NODES = """
const found = {};
function look(root) {
  for (const element of root.querySelectorAll("*")) {
    if (element.matches("g.node")) found[element.getAttribute("data-name")] = element;
    if (element.shadowRoot) look(element.shadowRoot);
  }
}
look(document);
"""
EXPAND = """
const button = found[arguments[0]].querySelector(".buttoncontainer");
button.dispatchEvent(new MouseEvent("click", {bubbles: true, composed: true}));
"""


@pytest.fixture
def browser():
    """Yield a Chromium without a window, by Selenium."""
    webdriver = pytest.importorskip("selenium.webdriver")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None or shutil.which("chromedriver") is None:
        pytest.skip("chromium or its driver is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.add_argument("--window-size=1400,900")
    options.add_argument("--no-proxy-server")
    service = webdriver.ChromeService(executable_path=shutil.which("chromedriver"))
    driver = webdriver.Chrome(options=options, service=service)
    yield driver
    driver.quit()


def test_the_page_of_the_graph(board, browser, tmp_path):
    """Modules are shown folded and unfold; the page is looked at as well."""
    waiting = pytest.importorskip("selenium.webdriver.support.ui").WebDriverWait(browser, 90)
    image = pytest.importorskip("PIL.Image")

    def shown():
        return set(browser.execute_script(f"{NODES} return Object.keys(found)"))

    browser.get(f"{board[0]}/#graphs&run=.")
    waiting.until(lambda _: {"input", "Net", "output"} <= shown())
    assert shown() == {"input", "Net", "output"}
    body = "Net/Sequential[body]"
    browser.execute_script(NODES + EXPAND, "Net")
    waiting.until(lambda _: body in shown())
    assert {f"{body}_1", "Net/Embedding[embed]", "Net/add", "Net/body.0.weight"} <= shown()
    assert f"{body}/Linear[0]" not in shown()
    browser.execute_script(NODES + EXPAND, body)
    waiting.until(lambda _: f"{body}/Linear[0]" in shown())
    assert f"{body}/ReLU[1]" in shown()
    browser.save_screenshot(str(tmp_path / "graph.png"))
    pixels = np.asarray(image.open(tmp_path / "graph.png").convert("RGB")).astype(int)
    # To the right of the menu, below the title: frames, operations and their names.
    drawn = np.abs(pixels[150:850, 370:1050] - 255).sum(2) > 60
    assert drawn.sum() > 500


class Several(nn.Module):
    """Uses parameters of a module it does not call; takes and returns tensors in dicts and lists."""

    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 2)
        self.register_buffer("scale", torch.ones(4))

    def forward(self, given, number):
        x = given["x"] * number
        out, weights = self.attention(x, x, given["others"][1])
        return {"out": out * self.scale, "pair": (weights, out.sum())}


def test_names_of_the_graph():
    pytest.importorskip("tensorboardX")
    from tinygrad_like.viz.graphdef import graph_def

    x = torch.ones(3, 4)
    graph = graph_def(Several(), ({"x": x, "others": [x, x]}, 2.0))
    edges = {node.name: list(node.input) for node in graph.node}
    attention = "Several/MultiheadAttention[attention]"
    assert f"{attention}/out_proj.weight" in edges
    assert f"{attention}/in_proj_bias" in edges
    inputs = [name for name in edges if name.startswith("input")]
    assert inputs == ["input/1/x", "input/1/others/1", "input/1/others/2"]
    assert edges["Several/multiply"][0] == "input/1/x"
    assert ["input/1/others/2"] in edges.values()
    assert edges["Several/multiply_1"][1] == "Several/scale"
    assert [name for name in edges if name.startswith("output")] == [
        "output/out",
        "output/pair/1",
        "output/pair/2",
    ]
    assert edges["output/out"] == ["Several/multiply_1"]
    assert edges["output/pair/2"] == ["Several/sum"]


def test_the_graph_leaves_the_model_as_it_was():
    pytest.importorskip("tensorboardX")
    from tinygrad_like.viz.graphdef import graph_def

    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("calls", torch.tensor(0))

        def forward(self, x):
            self.calls += 1
            return x + torch.randn_like(x)

    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Dropout(0.5), Counting())
    random_state = torch.get_rng_state()
    model[1].eval()
    model[0].weight.requires_grad_(False)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    x = torch.ones(4, 3, requires_grad=True)
    with torch.no_grad():
        graph = graph_def(model, x)
    assert "Sequential/Linear[0]/weight" in {node.name for node in graph.node}
    assert [module.training for module in model.modules()] == [True, True, False, True, True]
    assert torch.equal(torch.get_rng_state(), random_state)
    assert not model[0].weight.requires_grad
    assert all(p.grad is None for p in [x, *model.parameters()])
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[name])
    with pytest.raises(TypeError, match="expected a Module"):
        graph_def(lambda x: x, x)


def test_one_sentence_where_the_library_is_missing(monkeypatch):
    for name in ("tensorboardX", "tensorboardX.record_writer"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r"pip install 'tinygrad-like\[tensorboard\]'$"):
        SummaryWriter()


# ----- Visdom -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def vis(tmp_path_factory):
    """Return a client of a Visdom server; started without its command, which fetches scripts."""
    pytest.importorskip("visdom")
    from tinygrad_like.utils.visdom import Visdom

    folder = tmp_path_factory.mktemp("visdom")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = "from visdom.server.run_server import main; main()"
    options = ["-port", port, "-env_path", folder / "pages", "-bind_local"]

    def client():
        try:
            return Visdom("http://127.0.0.1", port)
        except ConnectionError:
            return None

    with server(folder, "-c", code, *options) as (log, process):
        made = wait_for(client, log, process)
        yield made
        made.session.close()


def window(vis, name, env="main"):
    """Return a window as the server tells it over HTTP."""
    return post(f"{vis.server}:{vis.port}/win_data", win=name, eid=env)


def test_lines_arrive(vis):
    name = vis.line(torch.tensor([1.0, 4.0, 9.0], requires_grad=True), torch.arange(3))
    (line,) = window(vis, name)["content"]["data"]
    assert (line["x"], line["y"], line["mode"]) == ([0, 1, 2], [1, 4, 9], "lines")


def test_curves_grow(vis):
    for step in range(3):
        assert vis.curve("loss", torch.tensor(1 / (step + 1)), step) == "loss"
    found = window(vis, "loss")
    assert found["title"] == "loss"
    (line,) = found["content"]["data"]
    assert line["x"] == [0, 1, 2]
    assert line["y"] == pytest.approx([1, 1 / 2, 1 / 3])


def test_images_arrive(vis):
    image = pytest.importorskip("PIL.Image")
    picture = torch.rand(3, 5, 4)
    name = vis.image(picture, opts={"caption": "a picture"})
    content = window(vis, name)["content"]
    assert content["caption"] == "a picture"
    kind, _, data = content["src"].partition("base64,")
    assert kind.startswith("data:image/")
    assert image.open(io.BytesIO(base64.b64decode(data))).size == (4, 5)
    grid = vis.images(torch.rand(4, 1, 6, 6), nrow=2)
    assert window(vis, grid)["content"]["src"].startswith("data:image/")


def test_histograms_arrive(vis):
    values = torch.randn(20, 30)
    name = vis.histogram(values, win="weights", opts={"numbins": 10})
    assert name == "weights"
    (bars,) = window(vis, name)["content"]["data"]
    assert bars["y"] == np.histogram(values.numpy(), 10)[0].tolist()


def test_graphs_arrive(vis):
    w = torch.ones(2, 3, requires_grad=True)
    name = vis.draw((w * w).sum(), {"w": w}, title="a graph")
    found = window(vis, name)
    assert found["title"] == "a graph"
    text = found["content"]
    assert text.startswith("<svg ")
    for word in ("multiply", "sum", "2 x 3"):
        assert word in text
    points = re.search(r'width="([\d.]+)pt"\s+height="([\d.]+)pt"', text).groups()
    assert found["width"] == pytest.approx(1.4 * float(points[0]) + 20)
    assert found["height"] == pytest.approx(1.4 * float(points[1]) + 20)
    drawing = viz.draw(w.sum(), {"w": w})
    again = vis.draw(drawing, win=name, env="other")
    assert "multiply" not in window(vis, again, "other")["content"]


def test_other_methods_are_the_librarys(vis):
    name = vis.heatmap(X=torch.eye(3))
    (found,) = window(vis, name)["content"]["data"]
    assert np.array_equal(found["z"], np.eye(3))
    assert vis.win_exists(name)
    vis.close(name)
    assert not vis.win_exists(name)
    with pytest.raises(AttributeError):
        vis.nothing_of_that_name()


def test_one_sentence_where_no_server_answers():
    pytest.importorskip("visdom")
    from tinygrad_like.utils.visdom import Visdom

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but nobody listens
        port = taken.getsockname()[1]
        with pytest.raises(ConnectionError, match=f"no server answers at http://127.0.0.1:{port}"):
            Visdom("http://127.0.0.1", port)


def test_one_sentence_where_visdom_is_missing(monkeypatch):
    from tinygrad_like.utils.visdom import Visdom

    monkeypatch.setitem(sys.modules, "visdom", None)
    with pytest.raises(ImportError, match=r"pip install 'tinygrad-like\[visdom\]'$"):
        Visdom()
