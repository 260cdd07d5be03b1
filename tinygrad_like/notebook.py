"""How tensors, modules and summaries look in a notebook: tables, heat maps and trees in HTML.

Nothing is loaded and no script runs; colours suit light and dark pages alike.
"""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_like import dtypes
from tinygrad_like.graph import AccumulateGrad
from tinygrad_like.nn.parameter import is_lazy

if TYPE_CHECKING:
    from tinygrad_like.nn.module import Module
    from tinygrad_like.summary import ModelSummary

__all__ = ["module_html", "summary_html", "tensor_html"]

Array = np.ndarray[Any, Any]

TABLE = 12  # up to so many rows and columns are written out as numbers
ENDS = 4  # of more rows, so many at either end
SLICES = 8  # of three dimensions and more, so many tables are shown
SIDE = 96  # rows and columns of a heat map; more are averaged
LEAST = 8  # an image has at least so many rows and columns
PICTURE = 256  # and at most so many are shown
BELOW, ABOVE, STRANGE = (47, 118, 200), (212, 58, 58), (190, 40, 210)  # < 0, > 0, nan and inf

STYLE = """<style>
.tgl{font:13px/1.45 system-ui,sans-serif;margin:.2em 0;max-width:100%;overflow-x:auto}
.tgl code,.tgl td,.tgl th{font-family:ui-monospace,monospace;font-size:12px;white-space:nowrap}
.tgl .tgl-chip{border:1px solid rgba(128,128,128,.35);border-radius:9px;padding:0 .6em;margin-left:.4em;white-space:nowrap}
.tgl .tgl-faint{opacity:.65}
.tgl .tgl-number{font-weight:600;margin-left:.4em}
.tgl .tgl-alarm{color:rgb(200,40,140);font-weight:600}
.tgl table{border-collapse:collapse;margin:.35em 0}
.tgl td,.tgl th{text-align:right;padding:.1em .55em;border:0}
.tgl th{font-weight:600;border-bottom:1px solid rgba(128,128,128,.5)}
.tgl .tgl-left{text-align:left;white-space:pre}
.tgl code{white-space:normal}
.tgl figure{display:inline-block;margin:.35em .8em .1em 0;vertical-align:top}
.tgl figcaption{font-size:11px;opacity:.65}
.tgl img{image-rendering:pixelated;border:1px solid rgba(128,128,128,.35);display:block;max-width:none}
.tgl details,.tgl .tgl-leaf{margin-left:1.2em}
.tgl>details{margin-left:0}
.tgl summary{cursor:pointer}
.tgl .tgl-leaf{padding-left:.95em}
.tgl .tgl-bar{display:inline-block;height:.55em;margin-left:.6em;border-radius:2px;background:rgba(47,118,200,.7)}
</style>"""


# ----- Tensors ------------------------------------------------------------------------------------


def tensor_html(tensor: Any) -> str:
    """Return what a tensor is, and its numbers: as tables if they are few, else as heat maps.

    >>> import tinygrad_like as torch
    >>> html = tensor_html(torch.tensor([[1.0, -2.0]], requires_grad=True))
    >>> "1 x 2" in html, "requires grad" in html, ">-2</td>" in html
    (True, True, True)
    """
    if is_lazy(tensor):
        unknown = (
            f"<b>{escape(type(tensor).__name__)}</b>{_chip('its shape comes with the first input')}"
        )
        return f'{STYLE}<div class="tgl">{unknown}</div>'
    array = tensor.array
    chips = [_size(array.shape), dtypes.named(array.dtype).name]
    if isinstance(tensor.node, AccumulateGrad):
        chips.append("requires grad")
    elif tensor.node is not None:
        chips.append(f"from {tensor.node.name()}")
    head = f"<b>{escape(type(tensor).__name__)}</b>" + "".join(map(_chip, chips))
    if array.ndim == 0:
        return f'{STYLE}<div class="tgl">{head} <code class="tgl-number">{_number(array.item())}</code></div>'
    return f'{STYLE}<div class="tgl">{head}{_statistics(array)}{_numbers(array)}</div>'


def _chip(text: str) -> str:
    return f'<span class="tgl-chip">{escape(text)}</span>'


def _size(shape: Any) -> str:
    return " x ".join(map(str, shape)) if len(shape) else "scalar"


def _statistics(array: Array) -> str:
    """Return a line that sums many numbers up, and says if some are not finite."""
    if array.size == 0:
        return ' <span class="tgl-faint">no elements</span>'
    if array.dtype.kind == "b":
        return f' <span class="tgl-faint">{int(array.sum()):,} of {array.size:,} true</span>'
    numbers = array.astype(np.float64)
    finite = numbers[np.isfinite(numbers)]
    counts = {"nan": np.isnan(numbers).sum(), "inf": np.isinf(numbers).sum()}
    strange = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)
    told = f' <span class="tgl-alarm">{strange}</span>' if strange else ""
    if array.size > 1 and finite.size:
        low, high = f"{finite.min():.4g}", f"{finite.max():.4g}"
        text = f"from {low} to {high}, mean {finite.mean():.4g}, deviation {finite.std():.4g}"
        text = text if low != high else f"all {low}"
        told += f' <span class="tgl-faint">{"and else " if strange else ""}{text}</span>'
    return told


def _numbers(array: Array) -> str:
    """Return tables or heat maps of the last two dimensions, side by side."""
    if array.size == 0:
        return ""
    grid = array.reshape(-1, *((1, 1, *array.shape)[-2:]))
    leading = array.shape[:-2]
    if len(grid) == 1 and grid.shape[2] <= TABLE < grid.shape[1]:  # a list of short rows
        kept = np.r_[:ENDS, -ENDS:0]
        shown = _table(grid[0, kept], _bound([grid[0]]), f"{grid.shape[1] - 2 * ENDS:,} more rows")
        return f"<div>{shown}</div>"
    small = max(grid.shape[1:]) <= TABLE and (not leading or grid[0].size * len(grid) <= 256)
    cells = (1, 1) if small else _cells(grid.shape[1:])
    tables = [_means(table, *cells) for table in grid[:SLICES]]
    bound = _bound(tables)
    side = 288 if len(tables) == 1 else 128
    parts = _pictures(array)
    for index, table in zip(np.ndindex(leading), tables, strict=False):
        shown = _table(table, bound) if small else _heat_map(table, bound, side)
        told = [f"[{', '.join(map(str, index))}]"] if leading else []
        told += [f"each cell the mean of {cells[0]} x {cells[1]}"] if cells != (1, 1) else []
        told += [_scale(tables, bound)] if not small and not leading else []
        caption = ", ".join(told)
        caption = f"<figcaption>{caption}</figcaption>" if caption else ""
        parts.append(f"<figure>{shown}{caption}</figure>")
    if not small and leading:
        parts.append(f'<div class="tgl-faint">{_scale(tables, bound)}</div>')
    if len(grid) > SLICES:
        parts.append(f'<span class="tgl-faint">and {len(grid) - SLICES:,} more</span>')
    return f"<div>{''.join(parts)}</div>"


def _scale(tables: Sequence[Array], bound: float) -> str:
    """Say what the colours of heat maps mean."""
    below = any((table < 0).any() for table in tables if table.dtype.kind not in "bu")
    return f"blue is {-bound:.3g}, red {bound:.3g}" if below else f"red is {bound:.3g}"


def _pictures(array: Array) -> list[str]:
    """Return colour pictures of an array that may well be some: 3 channels of bytes, or of 0 to 1."""
    shape = array.shape
    if array.ndim not in (3, 4) or shape[-3] != 3 or min(shape[-2:]) < LEAST:
        return []
    if array.dtype.kind == "f":
        if not (array.min() >= 0 and array.max() <= 1):
            return []
        array = np.round(array * 255)
    elif array.dtype != np.uint8:
        return []
    figures: list[str] = []
    for index, channels in zip(np.ndindex(shape[:-3]), array.reshape(-1, *shape[-3:]), strict=True):
        if len(figures) == SLICES:
            break
        step = -(-max(shape[-2:]) // PICTURE)
        colours = np.moveaxis(channels[:, ::step, ::step], 0, 2).astype(np.uint8)
        pixels = np.dstack([colours, np.full(colours.shape[:2], 255, np.uint8)])
        told = f"[{', '.join(map(str, index))}] in colour" if index else "in colour"
        figures.append(
            f"<figure>{_image(pixels, 128, 'picture')}<figcaption>{told}</figcaption></figure>"
        )
    return figures


def _bound(tables: Sequence[Array]) -> float:
    """Return the size of the largest finite number, which gets the full colour."""
    sizes = np.abs(np.array(tables, np.float64))
    return float(np.max(sizes, initial=0, where=np.isfinite(sizes))) or 1.0


def _table(table: Array, bound: float, between: str = "") -> str:
    """Return a table of numbers; what stands in its middle says that rows were left out."""
    rows = []
    for number, row in enumerate(table):
        if between and number == len(table) // 2:
            rows.append(
                f'<tr><td class="tgl-left tgl-faint" colspan="{len(row)}">{between}</td></tr>'
            )
        cells = []
        for value in row.tolist():
            red, green, blue, alpha = _colour(value, bound)
            style = f"background:rgba({red},{green},{blue},{0.45 * alpha:.2f})"
            cells.append(f'<td style="{style}">{_number(value)}</td>')
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return f"<table>{''.join(rows)}</table>"


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _colour(value: float, bound: float) -> tuple[int, int, int, float]:
    """Return red, green, blue and opacity of a number; 0 is transparent."""
    if not np.isfinite(value):
        return *STRANGE, 1.0
    return *(BELOW if value < 0 else ABOVE), min(abs(value) / bound, 1.0)


def _cells(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return how many rows and columns of numbers make one cell of the heat map."""
    return -(-shape[0] // SIDE), -(-shape[1] // SIDE)


def _means(table: Array, down: int, across: int) -> Array:
    """Return the means of cells of so many rows and columns; the last ones may be smaller."""
    if down == across == 1:
        return table
    rows, columns = range(0, table.shape[0], down), range(0, table.shape[1], across)
    sums = np.add.reduceat(np.add.reduceat(table.astype(np.float64), rows, 0), columns, 1)
    tall = np.diff([*rows, table.shape[0]])
    wide = np.diff([*columns, table.shape[1]])
    return np.asarray(sums / np.outer(tall, wide))


def _heat_map(table: Array, bound: float, side: int) -> str:
    """Return a picture in which blue is below 0, red above, and the size opacity."""
    numbers = table.astype(np.float64)
    finite = np.isfinite(numbers)
    pixels = np.zeros((*table.shape, 4), np.uint8)
    pixels[..., :3] = np.where((numbers < 0)[..., None], BELOW, ABOVE)
    pixels[..., 3] = np.round(255 * np.abs(np.where(finite, numbers, 0)) / bound)
    pixels[~finite] = (*STRANGE, 255)
    return _image(pixels, side, "heat map")


def _image(pixels: Array, side: int, name: str) -> str:
    """Return pixels ``(H, W, 4)`` as a picture, at most about `side` wide or high."""
    rows, columns = pixels.shape[:2]
    scale = max(1, min(16, side // max(rows, columns)))
    data = base64.b64encode(_png(pixels)).decode()
    size = f'width="{columns * scale}" height="{max(rows * scale, 20)}"'
    return f'<img {size} alt="{name}" src="data:image/png;base64,{data}">'


def _png(pixels: Array) -> bytes:
    """Return pixels ``(H, W, 4)`` as a PNG file."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    height, width, _ = pixels.shape
    lines = b"".join(b"\0" + line.tobytes() for line in pixels)  # 0: this line is not filtered
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(lines))
        + chunk(b"IEND", b"")
    )


# ----- Modules ------------------------------------------------------------------------------------


def module_html(module: Module) -> str:
    """Return a tree of the module's parts that folds, with the parameters of each.

    >>> import tinygrad_like as torch
    >>> html = module_html(torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU()))
    >>> "15 parameters" in html, html.count("<details"), "in_features=4" in html
    (True, 2, True)
    """
    known = [p for p in module.parameters() if not is_lazy(p)]
    waiting = sum(map(is_lazy, module.parameters()))
    total = sum(p.array.size for p in known)
    fixed = sum(p.array.size for p in known if not p.requires_grad)
    told = [_counted(total, "parameter")]
    told += [_bytes(sum(p.array.nbytes for p in known))] if total else []
    told += [f"and {waiting} of shapes that come with the first input"] if waiting else []
    told += [f"{fixed:,} fixed"] if fixed else []
    told += ["training" if module.training else "evaluating"]
    tree = _branch("", module, total, "".join(map(_chip, told)), opened=True)
    return f'{STYLE}<div class="tgl">{tree}</div>'


def _branch(name: str, module: Module, total: int, told: str, opened: bool) -> str:
    """Return a module, its parameters and its parts, which are folded below the first level."""
    kind, details = escape(module._get_name()), escape(module.extra_repr().replace("\n", " "))
    title = f'<span class="tgl-faint">{escape(name)}</span> ' if name else ""
    title += f"<b>{kind}</b>"
    title += f' <code class="tgl-faint">{details}</code>' if details else ""
    sizes = (p.array.size for p in module.parameters() if not is_lazy(p))
    if not told and (count := sum(sizes)):
        told = f' <span class="tgl-faint">{count:,}</span>' + _bar(count / total)
    inner = [_parameter(own, p) for own, p in module.named_parameters(recurse=False)]
    inner += [
        _branch(own, child, total, "", opened=False) for own, child in module.named_children()
    ]
    if not inner:
        return f'<div class="tgl-leaf">{title}{told}</div>'
    state = " open" if opened else ""
    return f"<details{state}><summary>{title}{told}</summary>{''.join(inner)}</details>"


def _parameter(name: str, parameter: Any) -> str:
    if is_lazy(parameter):
        return f'<div class="tgl-leaf"><code>{escape(name)}</code></div>'
    fixed = "" if parameter.requires_grad else " fixed"
    kind = dtypes.named(parameter.array.dtype).name
    what = f"{_size(parameter.array.shape)} {kind}{fixed}"
    return f'<div class="tgl-leaf"><code>{escape(name)}</code> <span class="tgl-faint">{what}</span></div>'


def _bar(share: float) -> str:
    return f'<span class="tgl-bar" style="width:{max(120 * share, 1):.0f}px" title="{share:.1%}"></span>'


def _counted(number: int, noun: str) -> str:
    return (
        f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s" if number else f"no {noun}s"
    )


def _bytes(number: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if number < 1000:
            return f"{number:.4g} {unit}"
        number /= 1000
    return f"{number:.4g} GB"


# ----- Summaries ----------------------------------------------------------------------------------


def summary_html(summary: ModelSummary) -> str:
    """Return a summary as a table.

    >>> import tinygrad_like as torch
    >>> html = summary_html(torch.summary(torch.nn.Linear(4, 3), (2, 4)))
    >>> "<td>2 x 3</td><td>15</td><td>24</td>" in html
    True
    """
    heads = ("Layer", "Output", "Parameters", "Multiply-adds")
    head = "".join(f"<th{' class=tgl-left' * (not i)}>{text}</th>" for i, text in enumerate(heads))
    body = []
    for branch, label, shape, parameters, adds in summary.rows():
        cells = (_shape(shape), *(text.replace("--", "") for text in (parameters, adds)))
        left = f'<td class="tgl-left">{escape(branch + label)}</td>'
        body.append(f"<tr>{left}{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>")
    fixed = summary.total_params - summary.trainable_params
    told = [_counted(summary.total_params, "parameter") + (f", {fixed:,} fixed" if fixed else "")]
    if summary.total_mult_adds:
        told.append(_counted(summary.total_mult_adds, "multiply-add"))
        told.append(
            f"memory: input {_bytes(summary.input_bytes)}, forward and backward "
            f"{_bytes(summary.output_bytes)}, parameters {_bytes(summary.param_bytes)}"
        )
    foot = "".join(f"<div>{line}</div>" for line in told)
    return (
        f'{STYLE}<div class="tgl"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table>{foot}</div>"
    )


def _shape(shape: Any) -> str:
    """Return the shape of a result, or those of several."""
    if shape is None:
        return ""
    if shape and isinstance(shape[0], list):
        return ", ".join(map(_size, shape))
    return _size(shape)
