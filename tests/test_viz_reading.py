# ruff: noqa: RUF001 (a page writes minus and times as they are set in print)
"""What a reader of a page of `viz.html` sees, hears and holds: looks, words, screens and paper."""

import base64
import importlib.util
import re
from importlib.resources import files
from pathlib import Path

import pytest

import tinygrad_like as torch
from tests.browsing import CHROMIUM, opened
from tests.pages import loop, network, neuron, titled, told
from tinygrad_like import nn, viz

DOCS = Path(__file__).resolve().parent.parent / "docs"
CSS = (files("tinygrad_like.viz") / "page" / "page.css").read_text("utf-8")


@pytest.fixture(scope="module")
def browser():
    yield from opened()


@pytest.fixture
def screen(browser):
    """Return a function that gives the window another size, that of a phone for example."""

    def resize(width, height, *, mobile=False):
        browser.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile},
        )

    yield resize
    browser.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})


def chain():
    x = torch.tensor([0.5, 0.25], requires_grad=True)
    y = x
    for i in range(20):  # two lines, or it would be a loop
        y = y.tanh() if i % 3 else y.exp()
        y = y.cos() if i % 5 else y.sin()
    return {"x": x}, y.sum()


def penalised():
    """Return a network and a loss in which each parameter is used twice."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))
    error = ((model(torch.randn(20, 2)) - 1) ** 2).mean()
    return model, error + 0.01 * sum((p**2).sum() for p in model.parameters())


def boxes_of(browser, selector):
    return browser.run(
        "return [...document.querySelectorAll(arguments[0])].map((e) => {"
        "const r = e.getBoundingClientRect(); return [r.left, r.top, r.right, r.bottom]})",
        selector,
    )


class TestLesson:
    def test_the_page_says_what_it_shows(self, browser, tmp_path):
        out, params = neuron()
        browser.show(viz.html(out, tmp_path / "step.html", params=params))
        lesson = browser.element("panel").text
        for word in ("Forward:", "Backward:", "Sums:", "chain rule", "Press Play"):
            assert word in lesson
        assert "the end: every gradient is known" in browser.element("told").text
        assert browser.run("return document.querySelector('.item.backward')") is None
        browser.element("help").click()
        assert browser.focused() == "keytitle"
        assert "chain rule" in browser.element("keylist").text
        browser.run("document.getElementById('keylist').close()")

    def test_each_step_is_one_sentence_or_two(self, browser, tmp_path):
        out, params = neuron()
        path = viz.html(out, tmp_path / "step.html", params=params)
        browser.show(path)
        browser.go(0)
        said = []
        for step in range(1, len(told(path)["steps"]) + 1):
            browser.press(".")
            said.append(browser.element("told").text)
            assert said[-1].startswith(f"Step {step} of")
        assert len(set(said)) == len(said)
        text = "\n".join(said)
        assert (
            "forward: multiply takes w ([0.5, 0.25]) and x ([1, −2]) and gives [0.5, −0.5]." in text
        )
        assert "the gradient of out is complete, 1. It is g in the rule, which sends" in text
        assert "(added to what was there: 1 + 0.1993 = 1.199)" in text
        assert "all 2 gradients of tanh have arrived and were added up, 1.199." in text
        assert "d(x*y)/dx = g*y" in text
        assert "b is a leaf, nothing lies behind it" in text

    def test_a_link_leads_to_a_step(self, browser, tmp_path):
        out, params = neuron()
        path = viz.html(out, tmp_path / "step.html", params=params)
        browser.show(path, "#step=3")
        assert browser.element("told").text.startswith("Step 3 of")
        browser.run("location.hash = '#step=5'")
        browser.wait("return document.getElementById('slider').value === '5'")

    def test_what_goes_along_an_arrow(self, browser, tmp_path):
        a = torch.tensor(2.0, requires_grad=True)
        b = torch.tensor(-3.0, requires_grad=True)
        path = viz.html(a * b, tmp_path / "step.html", params={"a": a, "b": b})
        browser.show(path)
        sent = "return [...document.querySelectorAll('#view .sent')].map((e) => e.textContent)"
        assert browser.run(sent) == []
        browser.go(1)
        assert sorted(browser.run(sent)) == ["2", "−3"]
        browser.go(3)
        assert sorted(browser.run(sent)) == ["2", "−3"]  # what each gets is the other's value
        browser.go(4)
        assert browser.run(sent) == []

    def test_what_is_not_finite_is_marked(self, browser, tmp_path):
        x = torch.tensor([0.0, 1.0], requires_grad=True)
        y = torch.log(x)
        path = viz.html(y.sum() * 2, tmp_path / "step.html")
        browser.show(path)
        texts = {texts[0]: texts[1:] for texts in browser.items().values()}
        warning = "\N{WARNING SIGN}\N{VARIATION SELECTOR-15} "
        assert texts["log → y"] == [f"{warning}[−inf, 0]", "grad [2, 2]"]
        assert texts["sum"] == [f"{warning}−inf", "grad 2"]
        assert texts["x"][-1] == f"grad {warning}[inf, 2]"
        assert texts["2"] == []

    def test_shapes_stand_at_arrows(self, browser, tmp_path):
        model, loss, calls = network(1)
        path = viz.html(loss, tmp_path / "step.html", params=model, modules=calls)
        browser.show(path)
        shapes = "return [...document.querySelectorAll('#view .shape')].map((e) => e.textContent)"
        boxes = told(path)["boxes"]
        expected = [
            " × ".join(map(str, boxes[i]["results"][0]["shape"]))
            for box in boxes
            for i, _ in box["operands"]
            if boxes[i]["kind"] == "operation"
        ]
        assert sorted(browser.run(shapes)) == sorted(expected)
        browser.element("fold").click()
        assert browser.run(shapes) == ["5 × 3"]

    def test_the_details_follow_the_steps_until_a_node_is_chosen(self, browser, tmp_path):
        from selenium.webdriver.common.keys import Keys

        out, params = neuron()
        path = viz.html(out, tmp_path / "step.html", params=params)
        page = told(path)
        heading = "return document.querySelector('#panel h2').textContent"
        browser.show(path)
        for step, one in enumerate(page["steps"], 1):
            browser.go(step)
            name = (
                titled(page["boxes"][one["box"]])
                if "box" in one
                else "One step, forward and backward"
            )
            assert browser.run(heading) == name
        names = [box["name"] for box in page["boxes"]]
        browser.click(f"b{names.index('w')}")
        browser.go(1)
        assert browser.run(heading) == "w"
        browser.press(Keys.ESCAPE)
        assert browser.run(heading) == "multiply"

    def test_a_button_in_the_details_keeps_the_focus_there(self, browser, tmp_path):
        from selenium.webdriver.common.keys import Keys

        out, params = neuron()
        browser.show(viz.html(out, tmp_path / "step.html", params=params))
        browser.click("b2")
        browser.run("document.querySelector('#panel dd button').focus()")
        browser.press(Keys.ENTER)
        assert browser.focused() == "panel"

    def test_tab_goes_from_search_to_the_player(self, browser, tmp_path):
        from selenium.webdriver.common.keys import Keys

        out, params = neuron()
        browser.show(viz.html(out, tmp_path / "step.html", params=params))
        found = []
        for _ in range(40):
            browser.press(Keys.TAB)
            found.append(browser.focused())
            if found[-1] == "slider":
                break
        stops = ["search", "turn", "help", "b0", "panel", "first", "play", "slider"]
        assert [stop for stop in found if stop in stops] == stops


class TestLayout:
    @pytest.mark.parametrize("sideways", [False, True])
    def test_a_long_graph_stands_in_columns(self, browser, tmp_path, sideways):
        params, out = chain()
        browser.show(viz.html(out, tmp_path / "step.html", params=params))
        if sideways:
            browser.element("turn").click()
        browser.element("fit").click()
        boxes = boxes_of(browser, "#view .body")
        left, top, right, bottom = (
            f(side) for f, side in zip((min, min, max, max), zip(*boxes, strict=True), strict=True)
        )
        stage = boxes_of(browser, "#graph")[0]
        assert (right - left) * (bottom - top) > 0.3 * (stage[2] - stage[0]) * (stage[3] - stage[1])
        for i, box in enumerate(boxes):
            for other in boxes[:i]:
                apart = other[2] <= box[0] or box[2] <= other[0]
                assert apart or other[3] <= box[1] or box[3] <= other[1]
        assert browser.complaints() == []

    @pytest.mark.parametrize("sideways", [False, True])
    @pytest.mark.parametrize("make", [chain, network, penalised], ids=lambda make: make.__name__)
    def test_arrows_lead_past_all_other_boxes(self, browser, tmp_path, make, sideways):
        params, out, *calls = make()
        path = viz.html(
            out, tmp_path / "step.html", params=params, modules=calls[0] if calls else ()
        )
        browser.show(path)
        if sideways:
            browser.element("turn").click()
        browser.element("fit").click()
        boxes = boxes_of(browser, "#view .body")
        ways = browser.run(
            "return [...document.querySelectorAll('#view .edge')].map((e) => {"
            "const m = e.getScreenCTM(), n = e.getTotalLength();"
            "return [...Array(401).keys()].map((i) => {"
            "const p = e.getPointAtLength(n * i / 400).matrixTransform(m); return [p.x, p.y]})})"
        )
        assert len(ways) == sum(len({i for i, _ in box["operands"]}) for box in told(path)["boxes"])
        for way in ways:
            touched = {
                i
                for x, y in way
                for i, (left, top, right, bottom) in enumerate(boxes)
                if left - 1 <= x <= right + 1 and top - 1 <= y <= bottom + 1
            }
            assert len(touched) == 2
        assert browser.complaints() == []

    def test_like_iterations_look_alike(self, browser, tmp_path):
        cell, out, calls = loop(60)
        path = viz.html(out, tmp_path / "step.html", params=cell, modules=calls)
        browser.show(path)
        titles = [texts[0] for key, texts in browser.items().items() if key.startswith("f")]
        assert titles[:2] == ["▸ iterations 1 to 8", "▸ iterations 9 to 16"]
        browser.element("unfold").click()
        frames = browser.run(
            "return [...document.querySelectorAll('.handle')].map((e) => e.textContent)"
        )
        assert [title for title in frames if "iteration " in title][::59] == [
            "▾ iteration 1",
            "▾ iteration 60",
        ]
        browser.press("/", "iteration 33")
        option = browser.driver.find_element("css selector", "#found [role=option]")
        assert option.text.startswith("iteration 33")
        assert browser.complaints() == []


class TestScreens:
    @pytest.mark.parametrize("size", [(390, 844), (800, 600), (320, 568)])
    def test_everything_can_be_reached(self, browser, tmp_path, screen, size):
        model, loss, calls = network(1)
        path = viz.html(loss, tmp_path / "step.html", params=model, modules=calls, title="A" * 80)
        screen(*size, mobile=size[0] < 500)
        browser.show(path)
        browser.go(12)
        width, height = browser.run("return [innerWidth, innerHeight]")
        assert (width, height) == size
        assert browser.run("return document.documentElement.scrollWidth") <= width
        graph = boxes_of(browser, "#graph")[0]
        assert graph[3] - graph[1] > 0.2 * height
        for left, top, right, bottom in boxes_of(browser, "#play, #next, #slider, #told, #search"):
            assert 0 <= left < right <= width
            assert 0 <= top < bottom <= height
        assert browser.complaints() == []

    def test_fingers(self, browser, tmp_path, screen):
        out, params = neuron()
        screen(390, 844, mobile=True)
        browser.show(viz.html(out, tmp_path / "step.html", params=params))

        def touch(kind, *points):
            browser.driver.execute_cdp_cmd(
                "Input.dispatchTouchEvent",
                {
                    "type": kind,
                    "touchPoints": [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(points)],
                },
            )

        def place():
            left, top, right, bottom = boxes_of(browser, "[data-key=b0] .body")[0]
            return (left + right) / 2, (top + bottom) / 2, right - left

        x, y, width = place()
        touch("touchStart", (x, y))
        touch("touchEnd")
        assert browser.run("return document.querySelector('#panel h2').textContent") == "w"
        touch("touchStart", (200, 300))
        touch("touchMove", (190, 320))
        touch("touchMove", (180, 340))
        touch("touchEnd")
        moved = place()
        assert moved == pytest.approx((x - 20, y + 40, width), abs=3)
        touch("touchStart", (150, 300))
        touch("touchStart", (150, 300), (250, 300))
        for i in range(1, 6):
            touch("touchMove", (150 - 10 * i, 300), (250 + 10 * i, 300))
        touch("touchEnd")
        assert place()[2] == pytest.approx(2 * moved[2], rel=0.1)
        assert browser.complaints() == []

    def test_paper(self, browser, tmp_path):
        model, loss, calls = network()
        browser.show(viz.html(loss, tmp_path / "step.html", params=model, modules=calls))
        browser.element("closer").click()
        before = browser.element("view").get_attribute("transform")
        printed = "addEventListener('beforeprint', () => setTimeout(() => {window.box = document.getElementById('graph').getAttribute('viewBox')}))"
        browser.run(printed)
        pdf = base64.b64decode(browser.driver.execute_cdp_cmd("Page.printToPDF", {})["data"])
        assert pdf.startswith(b"%PDF")
        assert browser.element("view").get_attribute("transform") == before
        browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
        browser.run("dispatchEvent(new Event('beforeprint'))")
        graph = boxes_of(browser, "#graph")[0]
        for left, top, right, bottom in boxes_of(browser, "#view .body"):
            assert graph[0] <= left < right <= graph[2]
            assert graph[1] <= top < bottom <= graph[3]
        assert (
            browser.run("return getComputedStyle(document.querySelector('.tools')).display")
            == "none"
        )
        browser.run("dispatchEvent(new Event('afterprint'))")
        browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
        assert browser.element("graph").get_attribute("viewBox") is None

    def test_less_motion(self, browser, tmp_path, screen):
        out, params = neuron()
        browser.show(viz.html(out, tmp_path / "step.html", params=params))
        browser.go(8)
        moving = "return getComputedStyle(document.querySelector('.edge.backward')).animationName"
        assert browser.run(moving) == "flow"
        browser.driver.execute_cdp_cmd(
            "Emulation.setEmulatedMedia",
            {"features": [{"name": "prefers-reduced-motion", "value": "reduce"}]},
        )
        assert browser.run(moving) == "none"

    def test_dark_screens(self, browser, tmp_path, screen):
        out, params = neuron()
        browser.show(viz.html(out, tmp_path / "step.html", params=params))
        ground = "return getComputedStyle(document.body).backgroundColor"
        assert browser.run(ground) == "rgb(255, 255, 255)"
        browser.driver.execute_cdp_cmd(
            "Emulation.setEmulatedMedia",
            {"features": [{"name": "prefers-color-scheme", "value": "dark"}]},
        )
        assert browser.run(ground) == "rgb(20, 24, 30)"


@pytest.mark.skipif(not DOCS.exists(), reason="runs beside the sources only")
def test_the_picture_in_the_docs_is_of_a_page(browser, tmp_path):
    spec = importlib.util.spec_from_file_location("make_page", DOCS / "make_page.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    script.make(tmp_path / "page.png", CHROMIUM)
    made = (tmp_path / "page.png").read_bytes()
    shown = (DOCS / "page.png").read_bytes()
    assert made[:24] == shown[:24]  # a PNG of the same size
    assert len(made) > 0.5 * len(shown)  # it is not blank


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_can_be_read_on_every_ground(scheme):
    schemes = [
        dict(re.findall(r"--([\w-]+): (#\w{6})", block))
        for block in re.findall(r":root \{(.*?)\}", CSS, re.S)
    ]
    assert len(schemes) == 2
    colours = schemes[scheme]
    for text in ("ink", "faint", "forward", "backward"):
        for ground in (
            "page",
            "panel",
            "operation",
            "data",
            "constant",
            "group",
            "output",
            "code",
        ):
            dark, light = sorted((luminance(colours[text]), luminance(colours[ground])))
            # 4.5 is what WCAG 2 asks for, level AA.
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (text, ground)
