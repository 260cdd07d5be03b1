"""Sphinx extension: pages that need nothing from outside, with formulas written as MathML."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.utils.math import latex2mathml
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

# What a browser fetches by itself. A link that a reader may follow is none of it.
FETCHED = (
    re.compile(
        r"<(?:script|img|iframe|source|embed|video|audio)\b[^>]*?\bsrc\s*=\s*[\"']?(?:https?:)?//[^>]*>"
    ),
    re.compile(
        r"<link\b(?=[^>]*\brel\s*=\s*[\"']?(?:stylesheet|icon|preload|preconnect|dns-prefetch))[^>]*\bhref\s*=\s*[\"']?(?:https?:)?//[^>]*>"
    ),
    re.compile(r"@import\s+(?:url\()?[\"']?(?:https?:)?//[^;]*"),
    re.compile(r"\burl\(\s*[\"']?(?:https?:)?//[^)]*\)"),
)


def fetched(folder: Path) -> Iterator[str]:
    """Yield each place in built pages that would ask a server for something."""
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".html", ".css", ".svg"):
            text = path.read_text(encoding="utf-8")
            for pattern in FETCHED:
                for found in pattern.findall(text):
                    yield f"{path.relative_to(folder)}: {found[:120]}"


def _mathml(formula: str, block: bool) -> str:
    tree = latex2mathml.tex2mathml(formula, as_block=block)
    return str(tree)


def _inline(visitor: Any, node: nodes.math) -> None:
    visitor.body.append(_mathml(node.astext(), False))
    raise nodes.SkipNode


def _block(visitor: Any, node: nodes.math_block) -> None:
    visitor.body.append(f'<div class="formula">{_mathml(node.astext(), True)}</div>')
    raise nodes.SkipNode


def _describe(app: Sphinx, doctree: nodes.document, name: str) -> None:
    """Give pictures that cells show words for those who can't see them, unless they have some."""
    del app, name
    for image in doctree.findall(nodes.image):
        image.setdefault("alt", "what the code above shows")


def _check(app: Sphinx, error: Exception | None) -> None:
    if error is None and app.builder.format == "html":
        found = list(fetched(Path(app.outdir)))
        if found:
            raise ExtensionError("pages fetch from outside:\n" + "\n".join(found[:20]))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the formulas, the words and the check."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    app.connect("doctree-resolved", _describe)
    app.connect("build-finished", _check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
