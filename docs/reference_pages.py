"""Sphinx extension: writes the pages of the reference, which docstrings fill, before the build.

What belongs together is told by the tables of coverage.md, so the reference is sorted as they are.
"""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path
from types import ModuleType

from sphinx.application import Sphinx

MODULES = {
    "Modules": ("nn", "Layers, losses and containers."),
    "First values of weights": ("nn.init", "Fill tensors in place, with PyTorch's draws."),
    "Helpers for modules": ("nn.utils", "Norms of gradients, parameters as one vector, fusing."),
    "Parametrizations": ("nn.utils.parametrize", "A weight as a function of other tensors."),
    "Parametrizations, ready made": ("nn.utils.parametrizations", ""),
    "Pruning": ("nn.utils.prune", "Weights that are held at 0."),
    "Sequences of unequal lengths": ("nn.utils.rnn", ""),
    "Optimizers": ("optim", "What changes parameters after a backward."),
    "Learning rate schedules": ("optim.lr_scheduler", "What changes the rate from step to step."),
    "Averages of weights": ("optim.swa_utils", ""),
    "Data": ("utils.data", "Datasets, samplers, batches, worker processes."),
    "Data sets on disk": ("utils.datasets", "Files of MNIST, Fashion-MNIST and CIFAR."),
    "Checkpoints of the graph": ("utils.checkpoint", "Compute again instead of keeping."),
    "Files of safetensors": ("utils.safetensors", "Takes the extra `safetensors`."),
    "TensorBoard": (
        "utils.tensorboard",
        "Runs for TensorBoard, in PyTorch's form; takes an extra.",
    ),
    "Visdom": ("utils.visdom", "Pictures for a Visdom server; takes an extra."),
    "Linear algebra": ("linalg", "Decompositions, systems of equations, norms."),
    "Special functions": ("special", "Some take the extra `special`, which is SciPy."),
    "Windows": ("signal.windows", ""),
    "Functions of functions": ("func", "Gradients, Jacobians and Hessians of functions."),
    "Gradients": ("autograd", "Backward, modes, checks, functions of one's own."),
    "Jacobians and Hessians": ("autograd.functional", ""),
    "The graph": ("autograd.graph", "Nodes, edges, and what is kept for backward."),
    "Tests of one's own ops": ("testing", "Some take the extra `testing`, which is Hypothesis."),
    "Drawings": ("viz", "Pictures of the graph."),
    "The backward pass, explained": (
        "explanation",
        "What `tinygrad_like.explain` tells, as text and as objects.",
    ),
    "Finding what is wrong": ("debug", ""),
    "The walk back": ("graph", "What :doc:`Read the engine <../read-the-engine>` reads first."),
    "Declaring ops": ("op", "See :doc:`Write your own <../extending>`."),
    "Compiled kernels": ("jit", "Switching the kernels of the extra `jit` on and off."),
}

# What optimizers say to their base rather than to users.
RULES = (
    "advance",
    "ages",
    "flags",
    "initial_state",
    "numbers",
    "rule",
    "state_names",
    "whole_size",
)


def setup(app: Sphinx) -> dict[str, bool]:
    """Have the pages written first of all."""
    app.add_config_value("reference_pages", True, "env", [bool])
    app.connect(
        "builder-inited",
        lambda app: write(Path(app.srcdir)) if app.config.reference_pages else None,
    )
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def write(folder: Path) -> list[Path]:
    """Write all pages below `folder`, where they differ from what is there, and return them."""
    described.clear()
    pages = {**_functions(folder / "coverage.md"), "tensor": _tensor(), **_modules()}
    listed = [
        _title("Reference", "="),
        "What docstrings say. [What of PyTorch is here](../coverage.md) is on a page of its own.".replace(
            "[What of PyTorch is here](../coverage.md)",
            ":doc:`What of PyTorch is here <../coverage>`",
        ),
        "",
    ]
    groups = {
        "Tensors and functions": [name for name in pages if "." not in name],
        "Modules": [name for name in pages if "." in name],
    }
    for title, names in groups.items():
        entries = [f"   {name}" for name in names]
        listed += [".. toctree::", "   :maxdepth: 1", f"   :caption: {title}", "", *entries, ""]
    pages["index"] = "\n".join(listed)
    target = folder / "reference"
    target.mkdir(exist_ok=True)
    for old in set(target.glob("*.rst")) - {target / f"{name}.rst" for name in pages}:
        old.unlink()
    for name, text in pages.items():
        path = target / f"{name}.rst"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
    return sorted(target / f"{name}.rst" for name in pages)


def _title(text: str, line: str) -> str:
    return f"{text}\n{line * len(text)}\n"


described: set[type] = set()  # the classes so far: the second time one is not put in the index


def _listing(module: str, names: list[str], prefix: str = "") -> str:
    """Return a table of `names` and below it what their docstrings say."""
    home = importlib.import_module(module)
    lines = [f".. currentmodule:: {module}", "", ".. autosummary::", "   :nosignatures:", ""]
    lines += [f"   {'~' if prefix else ''}{prefix}{name}" for name in names] + [""]
    for name in names:
        if prefix:
            value = inspect.getattr_static(home.Tensor, name)
            kind = "automethod" if callable(value) else "autoattribute"
        else:
            value = getattr(home, name)
            kind = "autoclass" if inspect.isclass(value) else "autofunction"
        lines.append(f".. {kind}:: {prefix}{name}")
        if kind == "autoclass":
            lines += ["   :members:", f"   :exclude-members: {', '.join(RULES)}"]
            if value in described:
                lines += ["   :no-index:"]
            described.add(value)
        lines.append("")
    return "\n".join(lines)


# ----- Functions of the package and of nn.functional ----------------------------------------------


def _families(page: Path) -> dict[str, list[str]]:
    """Return the names in the first column of each table of the page of what is here."""
    found: dict[str, list[str]] = {}
    title = ""
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            title = line.removeprefix("## ")
        elif match := re.match(r"\| `([\w.]+)`", line):
            found.setdefault(title, []).append(match[1])
    return found


def _functions(page: Path) -> dict[str, str]:
    torch = importlib.import_module("tinygrad_like")
    functional = importlib.import_module("tinygrad_like.nn.functional")
    waiting = {name for name in dir(torch) if _is_function(name, getattr(torch, name))}
    waiting_f = set(functional.__all__)
    pages = {}
    families = _families(page)
    families["Others"] = [
        *families.get("Others", []),
        *sorted(waiting),
        *(f"F.{n}" for n in sorted(waiting_f)),
    ]
    for title, names in families.items():
        ours, layers = [], []
        for name in names:
            if name in waiting:
                ours.append(name)
                waiting.discard(name)
            elif name.startswith("F.") and name[2:] in waiting_f:
                layers.append(name[2:])
                waiting_f.discard(name[2:])
        if not ours and not layers:
            continue
        text = _title(title, "=") + "\n"
        if ours:
            text += _listing("tinygrad_like", ours)
        if layers:
            text += "\n" + _title("In nn.functional", "-") + "\n"
            text += _listing("tinygrad_like.nn.functional", layers)
        pages[re.sub(r"\W+", "-", title.lower()).strip("-")] = text
    return pages


def _is_function(name: str, value: object) -> bool:
    return not name.startswith("_") and (
        inspect.isroutine(value)
        or (
            inspect.isclass(value)
            and value.__module__.startswith("tinygrad_like")
            and name != "Tensor"
        )
    )


# ----- Methods of Tensor --------------------------------------------------------------------------


def _tensor() -> str:
    torch = importlib.import_module("tinygrad_like")
    text = _title("Tensor", "=") + "\n.. currentmodule:: tinygrad_like\n\n.. autoclass:: Tensor\n\n"
    for family in torch.Tensor.__mro__:
        names = [name for name in vars(family) if _is_method(name, vars(family)[name])]
        names = [name for name in names if _owner(torch.Tensor, name) is family]
        if names:
            title = re.sub(
                r"(?<!^)([A-Z])", r" \1", family.__name__.removesuffix("Methods")
            ).capitalize()
            title = "The tensor itself" if title == "Tensor" else title
            text += _title(title, "-") + "\n" + _listing("tinygrad_like", names, "Tensor.") + "\n"
    return text


def _owner(cls: type, name: str) -> type:
    return next(base for base in cls.__mro__ if name in vars(base))


def _is_method(name: str, value: object) -> bool:
    return not name.startswith("_") and (callable(value) or isinstance(value, property))


# ----- Modules ------------------------------------------------------------------------------------


def _modules() -> dict[str, str]:
    pages = {}
    for title, (name, sentence) in MODULES.items():
        try:
            module = importlib.import_module(f"tinygrad_like.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"tinygrad_like.{name}":
                raise
            continue
        heading = f"{title}: ``{name}``"
        names = _public(module)
        if not names:
            continue
        text = _title(heading, "=") + f"\n.. module:: tinygrad_like.{name}\n\n{sentence}\n\n"
        pages[f"m.{name}"] = text + _listing(f"tinygrad_like.{name}", names)
    return pages


def _public(module: ModuleType) -> list[str]:
    """Return a module's functions and classes; of the engine's own files those they define."""
    names = getattr(module, "__all__", None) or [n for n in dir(module) if not n.startswith("_")]
    defined = module.__name__ if module.__name__.count(".") == 1 and not _is_package(module) else ""
    found = []
    for name in names:
        value = getattr(module, name)
        home = getattr(value, "__module__", None) or ""
        if (inspect.isroutine(value) or inspect.isclass(value)) and (
            home == defined if defined else home.startswith("tinygrad_like")
        ):
            found.append(name)
    return sorted(found, key=lambda name: (name.lower(), name))


def _is_package(module: ModuleType) -> bool:
    return hasattr(module, "__path__")
