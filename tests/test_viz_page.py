"""The page that plays a step: what it holds is what the engine does, and in a browser it works."""

import base64
import gzip
import importlib.util
import json
import re
import shutil
import sys

import numpy as np
import pytest

import tinygrad_like as torch
from tinygrad_like import nn, viz
from tinygrad_like.graph import AccumulateGrad, Pick, Traced, reachable
from tinygrad_like.nn.module import record_modules
from tinygrad_like.viz import webpage
from tinygrad_like.viz.digest import MISSING, digest, with_heat
from tinygrad_like.viz.picture import Names


def told(path):
    """Return what a page knows of its graph."""
    packed = re.search(r'<script id="data"[^>]*>([^<]*)</script>', path.read_text())[1]
    return json.loads(gzip.decompress(base64.b64decode(packed)))


def neuron():
    x = torch.tensor([1.0, -2.0])
    w = torch.tensor([0.5, 0.25], requires_grad=True)
    b = torch.tensor(0.1, requires_grad=True)
    h = torch.tanh((w * x).sum() + b)
    return h * h + h, {"w": w, "b": b, "x": x}


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.inner = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, x):
        return x + self.inner(self.norm(x))


def network(blocks=2):
    torch.manual_seed(0)
    model = nn.Sequential(*[Block(8) for _ in range(blocks)], nn.Linear(8, 3))
    with record_modules() as calls:
        loss = nn.functional.cross_entropy(model(torch.randn(5, 8)), torch.tensor([0, 1, 2, 0, 1]))
    return model, loss, calls


def loop(steps):
    """Return the result of a loop whose graph has three operations for each step."""
    torch.manual_seed(0)
    cell = nn.Sequential(nn.Linear(8, 8), nn.Tanh())
    x = torch.randn(4, 8)
    with record_modules() as calls:
        for _ in range(steps):
            x = cell(x) + x
    return cell, x.mean(), calls


def named(page, name):
    (found,) = [box for box in page["boxes"] if box["name"] == name]
    return found


def numbers(found):
    return np.array([float(value) for value in found["values"]])


# ----- What a page holds --------------------------------------------------------------------------


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
        leaves = [box for box in page["boxes"] if box["kind"] == "leaf"]
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
        played = [boxes[s["box"]].get("tick", boxes[s["box"]]["name"]) for s in steps[start + 1 :]]
        assert played == order

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

    def test_hooks_have_their_say(self, tmp_path):
        x = torch.tensor(3.0, requires_grad=True)
        y = x * x
        y.register_hook(lambda g: g * 10)
        page = told(viz.html(y + 1, tmp_path / "step.html", params={"x": x}))
        assert numbers(named(page, "multiply")["results"][0]["grad"]) == [10]
        assert numbers(named(page, "x")["results"][0]["grad"]) == [60]

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
        with pytest.raises(TypeError, match="expected a tensor or a list of them"):
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
        assert max(holds.values()) <= webpage.WIDE + 3
        for number, frame in enumerate(page["frames"]):  # no frame is in itself
            seen, at = set(), number
            while at is not None:
                assert at not in seen
                seen.add(at)
                at = page["frames"][at]["parent"]
            assert number in holds, frame

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


# ----- In a browser -------------------------------------------------------------------------------

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")


@pytest.fixture(scope="module")
def browser():
    """Yield a Chromium without a window, by Selenium."""
    if importlib.util.find_spec("selenium") is None or CHROMIUM is None or DRIVER is None:
        pytest.skip("needs chromium, chromium-driver and selenium")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--window-size=1400,900",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield Browser(driver)
    driver.quit()


class Browser:
    """What a user does with a page."""

    def __init__(self, driver):
        self.driver = driver
        self.run = driver.execute_script

    def show(self, path):
        self.driver.get(path.as_uri())
        self.wait("return document.documentElement.dataset.ready === 'yes'")
        return self

    def wait(self, condition, timeout=20):
        from selenium.webdriver.support.ui import WebDriverWait

        WebDriverWait(self.driver, timeout, 0.05).until(lambda _: self.run(condition))

    def press(self, *keys):
        from selenium.webdriver.common.action_chains import ActionChains

        ActionChains(self.driver).send_keys(*keys).perform()

    def element(self, name):
        return self.driver.find_element("id", name)

    def items(self):
        """Return the texts of what is to be seen in the graph, by key."""
        return self.run(
            "return Object.fromEntries([...document.querySelectorAll('#view .item')]"
            ".map((e) => [e.dataset.key, [...e.querySelectorAll('text')].map((t) => t.textContent)]))"
        )

    def click(self, key):
        self.run(
            "document.querySelector(`[data-key='${arguments[0]}']`)"
            ".dispatchEvent(new MouseEvent('click', {bubbles: true}))",
            key,
        )

    def go(self, step):
        self.run(
            "const s = document.getElementById('slider'); s.value = arguments[0];"
            "s.dispatchEvent(new Event('input'))",
            step,
        )

    def focused(self):
        return self.run("return document.activeElement.dataset.key || document.activeElement.id")

    def panel_numbers(self, what):
        """Return the numbers of the value or the gradient that the details show."""
        texts = self.run(
            "return [...document.querySelectorAll("
            "`p[data-what=${arguments[0]}], table[data-what=${arguments[0]}] td`)].map((e) => e.textContent)",
            what,
        )
        return np.array([float(text.replace("\N{MINUS SIGN}", "-")) for text in texts])

    def complaints(self):
        return self.driver.get_log("browser")

    def requests(self):
        found = []
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                found.append(message["params"]["request"]["url"])
        return found


def center_of(browser, key):
    return browser.run(
        "const r = document.querySelector(`[data-key='${arguments[0]}']`).getBoundingClientRect();"
        "return [r.x + r.width / 2, r.y + r.height / 2]",
        key,
    )


class TestBrowser:
    def test_opens_without_a_request_or_a_complaint(self, browser, tmp_path):
        model, loss, calls = network()
        path = viz.html(loss, tmp_path / "step.html", params=model, modules=calls)
        browser.requests()
        browser.show(path)
        page = told(path)
        assert len(browser.items()) == len(page["boxes"])
        browser.element("play").click()
        browser.wait("return document.querySelector('#view .edge.forward') !== null")
        browser.element("play").click()
        requests = browser.requests()
        assert path.as_uri() in requests
        outside = [url for url in requests if not url.startswith(("file:", "data:", "blob:"))]
        assert outside == []
        assert browser.complaints() == []

    def test_values_and_gradients_shown_are_the_engine_s(self, browser, tmp_path):
        out, params = neuron()
        path = viz.html(out, tmp_path / "step.html", params=params)
        page = told(path)
        out.backward()
        browser.show(path)
        for number, box in enumerate(page["boxes"]):
            browser.click(f"b{number}")
            assert (
                browser.run("return document.querySelector('#panel h2').textContent") == box["name"]
            )
            result = box["results"][0]
            assert np.allclose(browser.panel_numbers("value"), numbers(result["value"]), rtol=1e-6)
            if box["name"] in ("w", "b"):
                grad = params[box["name"]].grad.numpy().ravel()
                assert np.allclose(browser.panel_numbers("grad"), grad, rtol=1e-6)
        panel = browser.element("panel").text
        assert "Recorded by this line" in panel
        assert "h * h + h" in panel
        assert "d(x + y)/dx = g" in panel
        assert browser.complaints() == []

    def test_arrays_are_shown_as_pictures(self, browser, tmp_path):
        torch.manual_seed(0)
        path = viz.html(nn.Linear(40, 30), tmp_path / "step.html", torch.randn(20, 40))
        browser.show(path)
        weight = [box["name"] for box in told(path)["boxes"]].index("weight")
        browser.click(f"b{weight}")
        found = browser.run(
            "return [...document.querySelectorAll('#panel [role=img]')].map((e) => [e.tagName, e.getAttribute('aria-label')])"
        )
        assert [tag.lower() for tag, _ in found] == ["svg", "canvas"] * 2
        assert "Histogram of 1200 elements" in found[0][1]
        assert "Heat map of 30 rows and 32 columns" in found[1][1]
        drawn = browser.run(
            "const c = document.querySelector('#panel canvas');"
            "const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
            "return new Set([...Array(c.width * c.height).keys()].map((i) => d.slice(4 * i, 4 * i + 3).join())).size"
        )
        assert drawn > 50

    def test_folding(self, browser, tmp_path):
        model, loss, calls = network()
        path = viz.html(loss, tmp_path / "step.html", params=model, modules=calls)
        titles = [frame["title"] for frame in told(path)["frames"]]
        browser.show(path)
        everything = browser.items()
        assert not any(key.startswith("f") for key in everything)
        block = titles.index("0: Block")
        browser.click(f"o{block}")
        folded = browser.items()
        assert folded[f"f{block}"][:2] == ["▸ 0: Block", "5 operations, 6 parameters"]
        assert len(folded) == len(everything) - 12 + 1  # the input is in there as well
        browser.run(
            "document.querySelector(`[data-key='f${arguments[0]}']`)"
            ".dispatchEvent(new MouseEvent('dblclick', {bubbles: true}))",
            block,
        )
        assert browser.items() == everything
        browser.element("fold").click()
        assert [key[0] for key in browser.items()].count("f") == 1
        browser.element("unfold").click()
        assert browser.items() == everything
        assert browser.complaints() == []

    def test_boxes_and_frames_do_not_overlap(self, browser, tmp_path):
        model, loss, calls = network()
        browser.show(viz.html(loss, tmp_path / "step.html", params=model, modules=calls))
        for _ in range(2):
            boxes = browser.run(
                "return [...document.querySelectorAll('#view .body')].map((e) => {"
                "const r = e.getBoundingClientRect(); return [r.left, r.top, r.right, r.bottom]})"
            )
            for i, (left, top, right, bottom) in enumerate(boxes):
                for other in boxes[:i]:
                    apart = other[2] <= left or right <= other[0]
                    assert apart or other[3] <= top or bottom <= other[1]
            areas = browser.run(
                "return [...document.querySelectorAll('.area')].map((e) => {"
                "const r = e.getBoundingClientRect();"
                "return [r.left, r.top, r.right, r.bottom]})"
            )
            for a in areas:
                for b in areas:
                    apart = a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
                    inside = all(
                        s * (p - q) >= 0 for p, q, s in zip(a, b, (1, 1, -1, -1), strict=True)
                    )
                    around = all(
                        s * (p - q) <= 0 for p, q, s in zip(a, b, (1, 1, -1, -1), strict=True)
                    )
                    assert apart or inside or around
            browser.element("turn").click()  # and from left to right
        assert browser.complaints() == []

    def test_playing(self, browser, tmp_path):
        out, params = neuron()
        path = viz.html(out, tmp_path / "step.html", params=params)
        page = told(path)
        browser.show(path)
        steps = page["steps"]
        number = {box["name"]: f"b{i}" for i, box in enumerate(page["boxes"])}
        tanh = number["tanh"]
        browser.go(0)
        pending = (
            "return [...document.querySelectorAll('#view .pending')].map((e) => e.dataset.key)"
        )
        assert len(browser.run(pending)) == 6
        assert browser.items()[tanh][-1] == ""
        for step, one in enumerate(steps, 1):
            browser.go(step)
            acting = browser.run(
                "return [...document.querySelectorAll('#view .item.forward, #view .item.backward')].map((e) => e.dataset.key)"
            )
            assert acting == ([f"b{one['box']}"] if "box" in one else [])
            assert f"Step {step} of {len(steps)}" in browser.element("told").text
            arrivals = page["boxes"][int(tanh[1:])]["results"][0]["arrivals"]
            count = sum(arrival["step"] < step for arrival in arrivals)
            text = browser.items()[tanh][-1]
            assert text.startswith("grad" if count else "")
            assert ("(1 of 2)" in text) == (count == 1)
        assert browser.run(pending) == []
        assert browser.items()[tanh][-1] == "grad 1.199"
        browser.run("document.getElementById('speed').value = '200'")
        browser.element("play").click()  # from the end it begins anew
        browser.wait("return document.getElementById('slider').value > 2")
        assert browser.element("play").text == "Pause"
        browser.wait(f"return document.getElementById('slider').value == {len(steps)}")
        browser.wait("return document.getElementById('play').textContent === 'Play'")
        assert browser.complaints() == []

    def test_searching(self, browser, tmp_path):
        from selenium.webdriver.common.keys import Keys

        cell, out, calls = loop(340)
        path = viz.html(out, tmp_path / "step.html", params=cell, modules=calls)
        browser.show(path)
        browser.press("/", "mean")
        assert browser.focused() == "search"
        search = browser.element("search")
        assert search.get_attribute("aria-expanded") == "true"
        options = browser.driver.find_elements("css selector", "#found [role=option]")
        assert options[0].text.startswith("mean")
        browser.press(Keys.ENTER)
        assert browser.run("return document.querySelector('#panel h2').textContent") == "mean"
        mean = [box["name"] for box in told(path)["boxes"]].index("mean")
        assert browser.focused() == f"b{mean}"
        x, y = center_of(browser, f"b{mean}")
        bounds = browser.run(
            "const r = document.getElementById('graph').getBoundingClientRect();"
            "return [r.left, r.top, r.right, r.bottom]"
        )
        assert bounds[0] < x < bounds[2]
        assert bounds[1] < y < bounds[3]

    def test_keys(self, browser, tmp_path):
        from selenium.webdriver.common.keys import Keys

        model, loss, calls = network(1)
        path = viz.html(loss, tmp_path / "step.html", params=model, modules=calls)
        page = told(path)
        key = {box["name"]: f"b{i}" for i, box in enumerate(page["boxes"])}
        browser.show(path)
        for _ in range(20):
            browser.press(Keys.TAB)
            if (browser.focused() or "")[:1] in "bof" and browser.focused()[1:].isdigit():
                break
        else:
            pytest.fail("Tab never reaches the graph")
        browser.click(key["gelu"])
        browser.press(Keys.ARROW_UP)
        above = page["boxes"][int(key["gelu"][1:])]["operands"][0][0]
        assert browser.focused() == f"b{above}"
        browser.press(Keys.ARROW_DOWN)
        assert browser.focused() == key["gelu"]
        browser.press("f")  # folds the module around it
        folded = browser.focused()
        assert folded[0] == "f"
        assert page["frames"][int(folded[1:])]["title"] == "1: GELU"
        browser.press(Keys.ENTER)
        assert browser.focused() == f"o{folded[1:]}"
        assert key["gelu"] in browser.items()
        browser.click(key["gelu"])
        browser.press("d")
        assert browser.focused() == "panel"
        browser.press(Keys.ESCAPE)
        assert browser.focused() == key["gelu"]
        browser.go(3)
        browser.press(".")
        assert browser.element("slider").get_attribute("value") == "4"
        browser.press(",", ",")
        assert browser.element("slider").get_attribute("value") == "2"
        before = browser.element("view").get_attribute("transform")
        browser.press("+")
        assert browser.element("view").get_attribute("transform") != before
        browser.press("?")
        assert browser.run("return document.getElementById('keylist').open")
        browser.press(Keys.ESCAPE)
        assert not browser.run("return document.getElementById('keylist').open")
        assert browser.complaints() == []

    def test_panning_and_zooming(self, browser, tmp_path):
        from selenium.webdriver.common.action_chains import ActionChains

        out, params = neuron()
        browser.show(viz.html(out, tmp_path / "step.html", params=params))
        before = center_of(browser, "b0")
        graph = browser.element("graph")
        empty = ActionChains(browser.driver).move_to_element_with_offset(graph, -450, 0)
        empty.click_and_hold().move_by_offset(60, 30).release().perform()
        after = center_of(browser, "b0")
        assert after[0] - before[0] == pytest.approx(60, abs=2)
        assert after[1] - before[1] == pytest.approx(30, abs=2)
        browser.run(
            "document.getElementById('graph').dispatchEvent(new WheelEvent('wheel',"
            "{deltaY: -400, clientX: arguments[0], clientY: arguments[1], cancelable: true}))",
            *after,
        )
        assert center_of(browser, "b0") == pytest.approx(after, abs=2)  # what is pointed at stays
        assert (
            float(
                re.search(r"scale\((.*)\)", browser.element("view").get_attribute("transform"))[1]
            )
            > 1.5
        )

    def test_a_screen_reader_finds_its_way(self, browser, tmp_path):
        model, loss, calls = network(1)
        path = viz.html(loss, tmp_path / "step.html", params=model, modules=calls)
        browser.show(path)
        roles = browser.run(
            "return [...document.querySelectorAll('[role], button, input')].map((e) =>"
            "[e.getAttribute('role') || e.tagName.toLowerCase(), e.getAttribute('aria-label') || e.textContent.trim()])"
        )
        assert {"application", "toolbar", "region", "combobox", "listbox", "group"} <= {
            r for r, _ in roles
        }
        assert all(name for role, name in roles if role not in ("listbox",))
        labels = browser.run(
            "return [...document.querySelectorAll('#view .item')].map((e) => e.getAttribute('aria-label'))"
        )
        (gelu,) = [label for label in labels if "gelu" in label]
        assert re.match(r"operation gelu, 5 \S 16 float32, mean \S+ ± \S+, grad mean", gelu)
        stops = browser.run("return document.querySelectorAll('#view [tabindex=\"0\"]').length")
        assert stops == 1  # Tab passes the graph in one step
        handles = browser.run(
            "return [...document.querySelectorAll('.handle')].map((e) => e.getAttribute('aria-expanded'))"
        )
        assert handles == ["true"] * len(told(path)["frames"])
        assert browser.element("told").get_attribute("aria-live") == "polite"

    def test_a_thousand_nodes_are_folded_and_quick(self, browser, tmp_path):
        cell, out, calls = loop(340)
        path = viz.html(out, tmp_path / "step.html", params=cell, modules=calls)
        browser.show(path)
        shown = browser.items()
        assert 5 < len(shown) < 60
        assert sum(key.startswith("f") for key in shown) >= 5
        browser.go(500)
        assert "forward" in " ".join(text for texts in browser.items().values() for text in texts)
        assert browser.complaints() == []
