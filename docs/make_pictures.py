"""Make the pictures of docs/pictures.md again: ``make pictures``.

Each block of Python on the page that is followed by a picture ends with the drawing it shows. All
are run in turn, so what the page says is what made its pictures.
"""

import ast
import re
import sys
import warnings
from pathlib import Path

import tinygrad_like as torch
from tinygrad_like import viz

HERE = Path(__file__).parent
BLOCK = re.compile(
    r"^```python\n(.*?)^```\n(?:\s*!\[[^\]]*\]\(pictures/([\w-]+\.svg)\))?", re.M | re.S
)
TIME = re.compile(r"[\d.]+ [mµn]?s (?:forward|back)")


def make(folder: Path) -> list[Path]:
    """Write the pictures into a folder, and return their paths."""
    torch.manual_seed(0)
    namespace: dict[str, object] = {"__name__": "__main__"}
    written: list[Path] = []
    for text, name in BLOCK.findall((HERE / "pictures.md").read_text(encoding="utf-8")):
        program = ast.parse(text)  # as a file of its own: no line depends on what stands before it
        last = program.body.pop() if name else None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # one picture shows a nan
            exec(compile(program, "example.py", "exec"), namespace)
            if last is not None:
                shown = ast.Expression(last.value)
                drawing = eval(compile(shown, "example.py", "eval"), namespace)
                written.append(_write(drawing, folder / name))
    return written


def _write(drawing: object, path: Path) -> Path:
    """Write a picture, unless there is one that says the same but for how long things took."""
    former = path.read_text(encoding="utf-8") if path.exists() else ""
    # The same program everywhere, so that pictures don't change with the machine.
    viz.render(drawing, path, engine="graphviz-pure")
    words, before = (
        re.findall(r">([^<>]+)</text>", TIME.sub("", text))
        for text in (path.read_text(encoding="utf-8"), former)
    )
    if words == before and TIME.search(former):
        path.write_text(former, encoding="utf-8")
    return path


if __name__ == "__main__":
    for path in make(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "pictures"):
        print(path)
