"""The pictures of docs/ are what `make pictures` makes of the page that shows them."""

import importlib.util
import math
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.drawings import INSTALLED, SVG
from tinygrad_like import viz

DOCS = Path(__file__).resolve().parent.parent / "docs"

pytestmark = [
    pytest.mark.skipif(not DOCS.exists(), reason="runs beside the sources only"),
    pytest.mark.skipif("graphviz-pure" not in INSTALLED, reason="needs graphviz-pure"),
]

NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[-+]\d+)?")
LINK = "{http://www.w3.org/1999/xlink}title"
TIMED = re.compile(r"[\d.]+ [mµn]?s (forward|back)")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    spec = importlib.util.spec_from_file_location("make_pictures", DOCS / "make_pictures.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return {path.name: path for path in script.make(tmp_path_factory.mktemp("pictures"))}


def content(path):
    """Return of each box and arrow what it is and what it says, wherever it stands.

    Times are left out. Where things stand depends on the version of the program that lays them out.
    """
    found = []
    for g in ET.parse(path).getroot().iter(f"{SVG}g"):
        if g.get("class") is None or g.get("class") == "graph":
            continue
        texts = [text.text for text in g.iter(f"{SVG}text")]
        hints = {a.get(LINK) for a in g.iter(f"{SVG}a")}
        words = [g.find(f"{SVG}title").text, *texts, *sorted(hints)]
        found.append((g.get("class"), [TIMED.sub(r"time \1", word) for word in words]))
    return found


def test_the_folder_holds_what_is_made(made):
    assert sorted(made) == sorted(path.name for path in (DOCS / "pictures").iterdir())
    page = (DOCS / "pictures.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"\(pictures/([^)]+)\)", page)) == sorted(made)


@pytest.mark.parametrize(
    "path", sorted((DOCS / "pictures").glob("*.svg")), ids=lambda path: path.stem
)
def test_each_picture_says_what_is_made_now(path, made):
    old, new = content(path), content(made[path.name])
    assert [kind for kind, _ in old] == [kind for kind, _ in new]
    for (_, before), (_, after) in zip(old, new, strict=True):
        assert [NUMBER.sub("#", text) for text in before] == [
            NUMBER.sub("#", text) for text in after
        ]
        for one, two in zip(before, after, strict=True):
            for a, b in zip(NUMBER.findall(one), NUMBER.findall(two), strict=True):
                # Sums are taken in another order on another machine.
                assert math.isclose(float(a), float(b), rel_tol=0.06, abs_tol=1e-6), (one, two)


def test_a_picture_that_says_something_else_is_noticed(made):
    assert content(made["values.svg"]) != content(made["rules.svg"])
    assert ("node operation", ["n2", "multiply", "example.py:7"]) in content(made["expression.svg"])


def test_every_option_of_draw_is_on_the_page():
    page = (DOCS / "pictures.md").read_text(encoding="utf-8")
    options = set(viz.draw.__annotations__) - {"tensor", "return", "params", "names", "modules"}
    assert [name for name in sorted(options) if not re.search(rf"\b{name}\b", page)] == []
