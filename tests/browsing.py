"""A Chromium without a window, and what a user does in it with a page of `viz.html`."""

import importlib.util
import json
import shutil

import numpy as np
import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")


def opened():
    """Yield a `Browser`, by Selenium; skip the test if there is none."""
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

    def show(self, path, place=""):
        self.driver.get("about:blank")  # or another place on the same page would not load it anew
        self.driver.get(path.as_uri() + place)
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
