"""The pages of `viz.html` in headless Chromium, used by pointer and by keys."""

import re

import numpy as np
import pytest

import tinygrad_like as torch
from tests.browsing import center_of, opened
from tests.pages import (
    HOSTILE,
    NUMBERS,
    hostile,
    loop,
    network,
    neuron,
    numbers,
    numbers_of,
    titled,
    told,
)
from tinygrad_like import nn, viz


@pytest.fixture(scope="module")
def browser():
    yield from opened()


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
            assert browser.run("return document.querySelector('#panel h2').textContent") == titled(
                box
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

    @pytest.mark.parametrize(
        ("values", "use"),
        [
            (NUMBERS[torch.float32], lambda values, x: values * x),
            (NUMBERS[torch.float64], lambda values, x: values * x.double()),
            (
                torch.tensor([7, 0, 3]),
                lambda values, x: nn.functional.embedding(values, x.expand(8, 2)),
            ),
            (torch.tensor([True, False]), lambda values, x: torch.where(values, x, -x)),
        ],
        ids=["float32", "float64", "int64", "bool"],
    )
    def test_numbers_shown_are_the_engine_s_exactly(self, browser, tmp_path, values, use):
        x = torch.tensor(1.0, requires_grad=True)
        path = viz.html(
            lambda: use(values, x), tmp_path / "step.html", params={"x": x, "values": values}
        )
        browser.show(path)
        names = [box["name"] for box in told(path)["boxes"]]
        browser.click(f"b{names.index('values')}")
        texts = browser.run(
            "return [...document.querySelectorAll('table[data-what=value] td')].map((e) => e.textContent)"
        )
        shown = [text.replace("\N{MINUS SIGN}", "-") for text in texts]
        if values.dtype == torch.bool:
            shown = [text == "true" for text in shown]
        array = values.numpy()
        found = np.array([numbers_of(text, array.dtype) for text in shown])
        assert np.array_equal(found, array, equal_nan=array.dtype.kind == "f")
        if array.dtype.kind == "f":
            assert np.array_equal(np.signbit(found), np.signbit(array))
        assert browser.complaints() == []

    def test_odd_shapes(self, browser, tmp_path):
        x = torch.ones(0, 3, requires_grad=True)
        y = torch.tensor(2.0, requires_grad=True, dtype=torch.float64)
        z = torch.ones(2, 1, 2, 1, requires_grad=True)
        path = viz.html([(x * y).sum() + z.sum(), y * 1], tmp_path / "step.html")
        page = told(path)
        browser.show(path)
        texts = {}
        for number in range(len(page["boxes"])):
            browser.click(f"b{number}")
            texts[number] = browser.element("panel").text
        for box, text in zip(page["boxes"], texts.values(), strict=True):
            shape = box["results"][0]["shape"]
            assert ("empty" in text.split("\n")) == (0 in shape)
            assert ("scalar" in text.split("\n")) == (shape == [])
        for step in range(len(page["steps"]) + 1):
            browser.go(step)
        assert browser.complaints() == []

    def test_text_of_the_user_s_stays_text(self, browser, tmp_path):
        model, loss = hostile()
        path = viz.html(loss, tmp_path / "a.html", params=model, title=HOSTILE[0])
        browser.requests()
        browser.show(path)
        assert browser.run("return document.title") == HOSTILE[0]
        assert browser.run("return document.querySelectorAll('img, iframe, object').length") == 0
        boxes = told(path)["boxes"]
        for number, box in enumerate(boxes):
            browser.click(f"b{number}")
            heading = browser.run("return document.querySelector('#panel h2').textContent")
            assert heading == titled(box)
        linear = [box["name"] for box in boxes].index("linear")
        browser.click(f"b{linear}")
        assert '# </script><script>alert("2")</script> <!-- <script> é' in browser.run(
            "return document.querySelector('#panel pre mark').textContent"
        )
        browser.press("/", "onerror")
        options = browser.driver.find_elements("css selector", "#found [role=option]")
        assert options[0].text.startswith(HOSTILE[0] + ".")
        assert [url for url in browser.requests() if not url.startswith("file:")] == []
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
        assert len(folded) == len(everything) - 13 + 1  # the input is in there as well, twice
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
        shown = f"return getComputedStyle(document.querySelector(`[data-key='{tanh}'] .value`)).visibility"
        assert browser.run(shown) == "hidden"  # not computed yet
        browser.go(len(steps))
        assert browser.run(shown) == "visible"
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
            if count == 2 and arrivals[1]["step"] == step - 1:
                assert text == "grad 1 + 0.1993 = 1.199"
        assert browser.run(pending) == []
        assert browser.items()[tanh][-1] == "grad 1.199  (sum of 2)"
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
        assert browser.run("return document.querySelector('#panel h2').textContent") == "mean → out"
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
