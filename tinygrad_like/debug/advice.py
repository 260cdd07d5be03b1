"""What was expected and what to try, by what an error's sentence says.

A rule has the patterns of the sentences that it is for; it gets the match and the situation, and returns
lines, none if it has nothing to say. Where no situation need be looked at, a row of ``advice.txt`` does.
The first rule or row that says something is the one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tinygrad_like.graph import Traced


@dataclass(frozen=True)
class Situation:
    """What is known of an error: its sentence, its operands and the modules being called."""

    sentence: str
    operands: dict[str, Any]
    modules: list[Any]

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the operands that are tensors."""
        arrays = {n: o.array if isinstance(o, Traced) else o for n, o in self.operands.items()}
        return {n: tuple(a.shape) for n, a in arrays.items() if hasattr(a, "shape")}

    def layer(self, kind: str) -> str:
        """Return the class of the innermost module if that starts with `kind`, otherwise ""."""
        name = type(self.modules[-1]).__name__ if self.modules else ""
        return name if name.startswith(kind) else ""


Lines = list[str]
_ROWS: list[tuple[re.Pattern[str], Callable[[re.Match[str], Situation], Lines]]] = []


def advice(situation: Situation) -> Lines:
    """Return the lines for an error: what was expected, and what to try."""
    for pattern, rule in _ROWS:
        match = pattern.search(situation.sentence)
        if match and (lines := rule(match, situation)):
            return lines
    for text, *lines in table():
        if match := re.search(text, situation.sentence, re.DOTALL):
            return [match.expand(line) for line in lines]
    return []


@cache
def table() -> list[list[str]]:
    """Return the rows of ``advice.txt``: a pattern, and the lines for the sentences it matches."""
    rows: list[list[str]] = []
    for line in Path(__file__).with_suffix(".txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("    "):
            rows[-1].append(line.strip())
        elif line and not line.startswith("#"):
            rows.append([line])
    return rows


def _for(*patterns: str) -> Callable[[Any], Any]:
    def register(rule: Any) -> Any:
        for pattern in patterns:
            _ROWS.append((re.compile(pattern, re.DOTALL), rule))
        return rule

    return register


def _list(text: str) -> list[int]:
    return [int(n) for n in re.findall(r"-?\d+", text)]


# ----- Shapes -------------------------------------------------------------------------------------


def _broadcast(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    return all(m == n or 1 in (m, n) for m, n in zip(reversed(a), reversed(b), strict=False))


@_for(r"do not broadcast|do not fit together|doesn't match the broadcast shape")
def _broadcasting(_: re.Match[str], situation: Situation) -> Lines:
    shapes = situation.shapes()
    pairs = [
        (n, m)
        for i, n in enumerate(shapes)
        for m in list(shapes)[i + 1 :]
        if not _broadcast(shapes[n], shapes[m])
    ]
    if not pairs:
        return []
    (n, m) = pairs[0]
    a, b = shapes[n], shapes[m]
    at = next(
        i for i, (s, t) in enumerate(zip(a[::-1], b[::-1], strict=False), 1) if s != t != 1 != s
    )
    expected = (
        f"expected equal sizes, or 1, in dimension -{at}: {n} has {a[-at]} and {m} has {b[-at]}"
    )
    return [expected, f"try {_made_to_fit(n, a, m, b)}"]


def _made_to_fit(n: str, a: tuple[int, ...], m: str, b: tuple[int, ...]) -> str:
    for name, shape, other in ((m, b, a), (n, a, b)):
        if len(shape) == 2 and _broadcast(shape[::-1], other):
            return f"{name}.T, which is {shape[::-1]}"
        if len(shape) < len(other):
            for dim in range(1, len(shape) + 1):
                wider = (*shape[:dim], 1, *shape[dim:])
                if _broadcast(wider, other):
                    return f"{name}.unsqueeze({dim}), which is {wider}"
    if math.prod(a) == math.prod(b):
        return f"{m}.reshape{a}, which has as many elements"
    return f"printing {n}.shape and {m}.shape where they were made: one has the wrong size"


@_for(r"inner sizes (\d+) and (\d+) differ")
def _product(match: re.Match[str], situation: Situation) -> Lines:
    shapes = situation.shapes()
    if "input" not in shapes or "other" not in shapes:
        return []
    a, b = shapes["input"], shapes["other"]
    lines = [f"expected (..., n, k) @ (..., k, m): here k is {match[1]} and {match[2]}"]
    if len(b) > 1 and b[-1] == a[-1]:
        return [*lines, f"try other.mT, which is {(*b[:-2], b[-1], b[-2])}"]
    if len(a) > 1 and len(b) and a[-2] == b[-2 if len(b) > 1 else -1]:
        return [*lines, f"try input.mT, which is {(*a[:-2], a[-1], a[-2])}"]
    return [*lines, "try following the sizes back to where the operands were made"]


@_for(r"the last size of input is (\d+) and that of weight \(out, in\) is (\d+)")
def _linear(match: re.Match[str], situation: Situation) -> Lines:
    got, wanted = int(match[1]), int(match[2])
    shape = situation.shapes().get("input", ())
    lines = [f"expected an input of shape (..., {wanted})"]
    for start in range(len(shape) - 2, -1, -1):
        if math.prod(shape[start:]) == wanted:
            return [*lines, f"try input.flatten({start}), which is {(*shape[:start], wanted)}"]
    if len(shape) > 1 and shape[-2] == wanted:
        return [*lines, "try input.mT, which puts the features last"]
    if situation.layer("Linear"):
        return [*lines, f"try Linear({got}, ...) here, or give the layer before {wanted} features"]
    return [*lines, f"try a weight of shape (out, {got})"]


@_for(r"expected input\[([\d, ]+)\] to have (\d+) channels, but got (\d+) channels")
def _channels(match: re.Match[str], situation: Situation) -> Lines:
    shape, wanted = _list(match[1]), int(match[2])
    lines = [f"expected (N, C, ...) with C = {wanted}"]
    if shape[-1] == wanted:
        order = ", ".join(map(str, [0, len(shape) - 1, *range(1, len(shape) - 1)]))
        return [*lines, f"try input.permute({order}): the channels are last here, not second"]
    kind = situation.layer("Conv") or "the convolution"
    return [*lines, f"try {kind} with in_channels={match[3]}, if the input is as it should be"]


@_for(r"Expected (\d)D \(unbatched\) or (\d)D \(batched\) input to (\w+), but got .*\[([\d, ]*)\]")
def _images(match: re.Match[str], _: Situation) -> Lines:
    dims = len(_list(match[4]))
    letters = {3: "(N, C, L)", 4: "(N, C, H, W)", 5: "(N, C, D, H, W)"}[int(match[2])]
    lines = [f"expected {letters}, or the same without N"]
    if dims == int(match[1]) - 1:
        return [*lines, "try input.unsqueeze(0) if there is one channel and no batch"]
    return lines


@_for(r"expected (\d)D(?: or (\d)D)? input \(got (\d)D input\)")
def _dimensions(match: re.Match[str], situation: Situation) -> Lines:
    letters = {
        "2": "(N, C)", "3": "(N, C, L)", "4": "(N, C, H, W)", "5": "(N, C, D, H, W)",
    }  # fmt: skip
    wanted = [letters[n] for n in (match[1], match[2]) if n in letters]
    layer = situation.layer("") or "the layer"
    right = {"2": "1d", "3": "1d", "4": "2d", "5": "3d"}.get(match[3], "")
    lines = [f"expected {' or '.join(wanted)}"]
    if right and re.search(r"\dd$", layer) and not layer.endswith(right):
        return [*lines, f"try {layer[:-2]}{right}, which is for {match[3]}-dimensional inputs"]
    return [*lines, "try input.unsqueeze(0) if the batch is missing"]


@_for(r"Kernel size can't be greater than actual input size|Output size is too small")
def _too_small(_: re.Match[str], __: Situation) -> Lines:
    return [
        "expected an input that is at least as large as the kernel",
        "try padding=, a smaller kernel, or fewer poolings and strides before",
    ]


@_for(r"running_mean should contain (\d+) elements not (\d+)")
def _features(match: re.Match[str], situation: Situation) -> Lines:
    layer = situation.layer("") or "batch_norm"
    return [
        f"expected {match[2]} channels in dimension 1, got {match[1]}",
        f"try {layer}({match[1]}), the number of channels of the layer before",
    ]


@_for(r"Given normalized_shape=\[([\d, ]+)\].*got input of size\s?\[([\d, ]+)\]")
def _normalized(match: re.Match[str], _: Situation) -> Lines:
    wanted, shape = _list(match[1]), _list(match[2])
    return [
        f"expected the last sizes to be {wanted}, got {shape[-len(wanted) :]}",
        f"try LayerNorm({shape[-1]}), which normalises the last dimension",
    ]


@_for(r"input.size\(-1\) must be equal to input_size. Expected (\d+), got (\d+)")
def _recurrent(match: re.Match[str], situation: Situation) -> Lines:
    layer = situation.layer("") or "the layer"
    return [
        f"expected (L, N, {match[1]}), or (N, L, {match[1]}) with batch_first=True",
        f"try {layer}({match[2]}, ...)",
    ]


@_for(r"was expecting embedding dimension of (\d+), but got (\d+)")
def _embedding_size(match: re.Match[str], _: Situation) -> Lines:
    return [f"expected (L, N, {match[1]})", f"try embed_dim={match[2]}, or project the input first"]


@_for(r"shape '\[([-\d, ]*)\]' is invalid for input of size (\d+)")
def _reshape(match: re.Match[str], _: Situation) -> Lines:
    sizes, count = _list(match[1]), int(match[2])
    known = math.prod(s for s in sizes if s > 0)
    lines = [
        f"expected sizes whose product is {count}, got {math.prod(sizes) if -1 not in sizes else known}"
    ]
    for i in range(len(sizes)):
        rest = math.prod(s for j, s in enumerate(sizes) if j != i and s > 0)
        if -1 in sizes:
            break
        if rest and count % rest == 0:
            shape = [*sizes[:i], -1, *sizes[i + 1 :]]
            return [*lines, f"try {tuple(shape)}, where -1 becomes {count // rest}"]
    return [*lines, f"try sizes that divide {count}, or print the shape where it was made"]


@_for(r"Sizes of tensors must match except in dimension (\d+)")
def _concatenated(match: re.Match[str], situation: Situation) -> Lines:
    shapes = list(situation.shapes().values())
    dim = int(match[1])
    lines = [f"expected equal sizes in every dimension but {dim}"]
    if len({len(s) for s in shapes}) == 1:
        for other in range(len(shapes[0])):
            if len({s[:other] + s[other + 1 :] for s in shapes}) == 1:
                return [*lines, f"try dim={other}"]
    return lines


@_for(r"Target size \((.*)\) must be the same as input size|Using a target size \((.*)\) that is")
def _target(_: re.Match[str], situation: Situation) -> Lines:
    shapes = situation.shapes()
    a, b = shapes.get("input", ()), shapes.get("target", ())
    lines = ["expected a target of the input's shape"]
    if a == (*b, 1):
        return [*lines, "try input.squeeze(-1) or target.unsqueeze(-1)"]
    if len(a) == 2 and b == a[:1]:
        return [*lines, "try cross_entropy, which takes one class for each row of scores"]
    return [*lines, "try printing both shapes where they were made"]


@_for(r"subscript (\w) has size (\d+) for operand (\d+) .* size (\d+)")
def _letters(match: re.Match[str], _: Situation) -> Lines:
    return [
        f"expected one size for the letter {match[1]}: it is {match[4]} before and {match[2]} here",
        f"try the letters of operand {match[3]} in another order, or another letter",
    ]


@_for(r"expects split_sizes to sum exactly to (\d+) .*split_sizes=\[([\d, ]*)\]")
def _split(match: re.Match[str], _: Situation) -> Lines:
    total, sizes = int(match[1]), _list(match[2])
    lines = [f"expected sizes whose sum is {total}, got {sum(sizes)}"]
    if len(set(sizes)) == 1:
        return [*lines, f"try split({sizes[0]}), whose last part may be smaller"]
    if sum(sizes) < total:
        lines.append(f"try {[*sizes, total - sum(sizes)]}")
    return lines


@_for(r"output with shape (\[[\d, ]*\]) doesn't match the broadcast shape (\[[\d, ]*\])")
def _too_small_in_place(match: re.Match[str], _: Situation) -> Lines:
    return [
        f"expected a result of shape {match[1]}: what is written in place keeps its shape",
        f"try x = x + y, which makes a new tensor of shape {match[2]}",
    ]


@_for(r"the value's shape (\[[\d, ]*\]) can't be expanded to the shape (\[[\d, ]*\])")
def _assigned(match: re.Match[str], _: Situation) -> Lines:
    return [
        f"expected a value of shape {match[2]}, or one that broadcasts to it",
        "try printing the shape of the part that is indexed",
    ]


# ----- Dimensions and indices ---------------------------------------------------------------------


@_for(
    r"Dimension out of range \(expected to be in range of \[(-?\d+), (-?\d+)\], but got (-?\d+)\)"
)
def _dim(match: re.Match[str], situation: Situation) -> Lines:
    high = int(match[2])
    dims = high + 1
    some = "the tensor has 1 dimension" if dims == 1 else f"the tensor has {dims} dimensions"
    lines = [f"expected a dim from {match[1]} to {high}: {some}"]
    if situation.layer("Flatten"):
        return [*lines, "try input.unsqueeze(0): the batch, which stays, is missing"]
    return [*lines, "try dim=-1 for the last one"]


@_for(r"[Ii]ndex (-?\d+) is out of bounds for dimension (\d+) with size (\d+)")
def _index(match: re.Match[str], _: Situation) -> Lines:
    size = int(match[3])
    if not size:
        return ["expected a dimension with elements: this one is empty"]
    lines = [f"expected an index from {-size} to {size - 1}"]
    if int(match[1]) == size:
        return [*lines, f"try {size - 1} or -1 for the last element: indices count from 0"]
    return [*lines, "try looking at where the index was made"]


@_for(r"index out of range in self: got (-?\d+) for a weight of (\d+) rows")
def _embedding(match: re.Match[str], _: Situation) -> Lines:
    got, rows = int(match[1]), int(match[2])
    lines = [f"expected indices from 0 to {rows - 1}"]
    if got >= rows:
        return [*lines, f"try Embedding({got + 1}, ...): one row for each index there can be"]
    return [*lines, "try indices from 0 on, with padding_idx=0 for what is no word"]


@_for(r"Target (-?\d+) is out of bounds")
def _class(match: re.Match[str], situation: Situation) -> Lines:
    shape = situation.shapes().get("input", ())
    if not shape:
        return []
    classes, got = shape[1 if len(shape) > 1 else 0], int(match[1])
    lines = [f"expected classes from 0 to {classes - 1}, as many as the input has scores"]
    if got == classes:
        return [*lines, "try target - 1 if classes are counted from 1, or one score more"]
    if got < 0:
        return [*lines, f"try ignore_index={got} if it marks what is to be left out"]
    return [*lines, f"try {got + 1} outputs in the last layer"]


# ----- Dtypes -------------------------------------------------------------------------------------


@_for(r"same dtype, but (?:got|found):?|expected scalar type|must match the source")
def _same_dtype(_: re.Match[str], situation: Situation) -> Lines:
    operands = situation.operands
    arrays = {n: o.array if isinstance(o, Traced) else o for n, o in operands.items()}
    kinds = {n: a.dtype for n, a in arrays.items() if hasattr(a, "dtype")}
    wide = [n for n, d in kinds.items() if str(d) == "float64"]
    whole = [n for n, d in kinds.items() if d.kind in "iub"]
    lines = ["expected one dtype for all operands"]
    if len(set(kinds.values())) < 2:
        return []
    given = [n for n in [*whole, *wide] if not isinstance(operands[n], Traced)]
    if given:
        return [*lines, f"try torch.from_numpy({given[0]}).float()"]
    if whole:
        return [*lines, f"try {whole[0]}.float()"]
    if wide:
        return [*lines, f"try {wide[0]}.float(): arrays of NumPy are float64 unless told otherwise"]
    return [*lines, f"try {next(iter(kinds))}.to(torch.{list(kinds.values())[-1]})"]


@_for(r"must be Tensor, not (\w+)")
def _uncalled(match: re.Match[str], situation: Situation) -> Lines:
    from tinygrad_like import nn

    given = [type(o) for o in situation.operands.values() if type(o).__name__ == match[1]]
    kind = given[0] if given else getattr(nn, match[1], None)
    if isinstance(kind, type) and issubclass(kind, nn.Module):
        return ["expected a tensor, not a module", "try calling it with its input: layer(x)"]
    return []


# ----- State --------------------------------------------------------------------------------------


@_for(r"Error\(s\) in loading state_dict")
def _state(_: re.Match[str], situation: Situation) -> Lines:
    return list(_of_keys(situation.sentence))


def _of_keys(sentence: str) -> Iterator[str]:
    missing = _keys("Missing", sentence)
    unexpected = _keys("Unexpected", sentence)
    yield "expected the names and shapes of model.state_dict()"
    for prefix in ("module.", "_orig_mod.", "model."):
        if (
            unexpected
            and all(k.startswith(prefix) for k in unexpected)
            and {k.removeprefix(prefix) for k in unexpected} == set(missing)
        ):
            yield (
                f'try {{k.removeprefix("{prefix}"): v for k, v in state.items()}}: all names begin with '
                f'"{prefix}", which a wrapper puts there'
            )
            return
    inside = [k for k in unexpected if k in ("model", "net", "state_dict", "model_state_dict")]
    if missing and inside:
        yield f'try state["{inside[0]}"]: this is a checkpoint, which holds more than a model'
    elif missing and not unexpected:
        yield "try strict=False if the missing ones may stay as they are"
    elif unexpected and not missing:
        yield "try strict=False if the file has more than the model needs"
    elif missing:
        yield f"try renaming: is {unexpected[0]} what the model calls {missing[0]}?"
    else:
        yield "try building the model with the sizes it was saved with"


def _keys(kind: str, sentence: str) -> list[str]:
    found = re.search(rf'{kind} key\(s\) in state_dict: ((?:"[^"]*"(?:, )?)*)', sentence)
    return re.findall(r'"([^"]*)"', found[1]) if found else []
