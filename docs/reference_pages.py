"""Sphinx extension: writes the pages of the reference, which docstrings fill, before the build.

What belongs together is told by the tables of coverage.md, so the reference is sorted as they are.
"""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path
from types import ModuleType
from typing import Any

from sphinx.application import Sphinx

# The pages of modules, in groups: the title, the module, and what it is for.
MODULES = {
    "Networks": {
        "Modules": ("nn", "Layers, losses and containers."),
        "First values of weights": ("nn.init", "Fill tensors in place, with PyTorch's draws."),
        "Helpers for modules": (
            "nn.utils",
            "Norms of gradients, parameters as one vector, fusing.",
        ),
        "Parametrizations": ("nn.utils.parametrize", "A weight as a function of other tensors."),
        "Parametrizations, ready made": ("nn.utils.parametrizations", ""),
        "Pruning": ("nn.utils.prune", "Weights that are held at 0."),
        "Sequences of unequal lengths": ("nn.utils.rnn", ""),
    },
    "Training": {
        "Optimizers": ("optim", "What changes parameters after a backward."),
        "Learning rate schedules": ("optim.lr_scheduler", "What changes the rate step by step."),
        "Averages of weights": ("optim.swa_utils", ""),
        "Hooks of all optimizers": ("optim.optimizer", "Called before and after each step."),
        "Data": ("utils.data", "Datasets, samplers, batches, worker processes."),
        "Data sets on disk": ("utils.datasets", "Files of MNIST, Fashion-MNIST and CIFAR."),
        "Saving and loading": ("serialization", "Files that PyTorch reads, and PyTorch's own."),
        "Files of safetensors": ("utils.safetensors", "Takes the extra `safetensors`."),
    },
    "Gradients": {
        "Gradients": ("autograd", "Backward, modes, checks, functions of one's own."),
        "Jacobians and Hessians": ("autograd.functional", ""),
        "The graph": ("autograd.graph", "Nodes, edges, and what is kept for backward."),
        "Functions of one's own": ("autograd.function", "What `Function` is made of."),
        "Functions of functions": ("func", "Gradients, Jacobians and Hessians of functions."),
        "Checkpoints of the graph": ("utils.checkpoint", "Compute again instead of keeping."),
    },
    "Looking inside": {
        "Drawings": ("viz", "Pictures of the graph, and of what a training does."),
        "The backward pass, explained": (
            "explanation",
            "What `tinygrad_like.explain` tells, as text and as objects.",
        ),
        "Finding what is wrong": ("debug", ""),
        "TensorBoard": (
            "utils.tensorboard",
            "Runs for TensorBoard, in PyTorch's form; takes an extra.",
        ),
        "Visdom": ("utils.visdom", "Pictures for a Visdom server; takes an extra."),
        "Tests of one's own ops": (
            "testing",
            "Some take the extra `testing`, which is Hypothesis.",
        ),
    },
    "More mathematics": {
        "Linear algebra": ("linalg", "Decompositions, systems of equations, norms."),
        "Special functions": ("special", "Some take the extra `special`, which is SciPy."),
        "Windows": ("signal.windows", ""),
        "Random numbers": ("random", "The same seed gives the same numbers as PyTorch on a CPU."),
        "Named tuples": ("return_types", "What functions with several results return."),
    },
    "The machine": {
        "The walk back": ("graph", "What :doc:`Read the engine <../read-the-engine>` reads first."),
        "Declaring ops": ("op", "See :doc:`Write your own <../extending>`."),
        "Compiled kernels": ("jit", "Switching the kernels of the extra `jit` on and off."),
        "Devices": ("accelerator", "There is the CPU: programs that ask for others are told so."),
        "GPUs": ("cuda", "What programs ask of GPUs: there are none."),
        "Libraries below": ("backends.cudnn", "Switches that programs set, without effect here."),
        "Products on GPUs": ("backends.cuda", ""),
        "Apple's GPUs": ("backends.mps", ""),
    },
}

# The sections of the page of modules, and the files of nn/modules that each takes its layers from.
LAYERS = {
    "Modules and containers": ("module", "container", "parameter"),
    "Linear layers": ("linear",),
    "Convolution": ("conv",),
    "Pooling": ("pooling", "rare_pooling"),
    "Padding": ("padding",),
    "Activations": ("activation",),
    "Normalization": ("batchnorm", "normalization", "instancenorm"),
    "Dropout": ("dropout",),
    "Recurrent layers": ("rnn", "rnn_cell"),
    "Attention": ("attention", "transformer"),
    "Embedding": ("sparse",),
    "Losses and distances": ("loss", "margin_loss", "adaptive", "distance"),
    "Rearranging": ("rearranging", "flatten"),
    "Layers that learn their sizes from the first input": ("lazy",),
}

# What a program sets, asks and keeps, apart from computing; the tables of coverage.md scatter it.
EVERYDAY = """
no_grad enable_grad inference_mode set_grad_enabled is_grad_enabled is_inference_mode_enabled
manual_seed seed initial_seed get_rng_state set_rng_state Generator save load explain summary
set_printoptions get_default_dtype set_default_dtype get_default_device set_default_device
get_num_threads set_num_threads get_num_interop_threads set_num_interop_threads
use_deterministic_algorithms are_deterministic_algorithms_enabled
is_deterministic_algorithms_warn_only_enabled get_deterministic_debug_mode
set_deterministic_debug_mode get_float32_matmul_precision set_float32_matmul_precision
set_default_tensor_type set_flush_denormal
"""

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
    if "sphinx.ext.viewcode" in app.extensions:
        app.connect("viewcode-follow-imported", _home)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _home(app: Sphinx, module: str, name: str) -> str | None:
    """Return the module that holds the source of what another shows."""
    del app
    value: Any = importlib.import_module(module)
    for part in name.split("."):
        value = getattr(value, part, None)
    return getattr(inspect.unwrap(value), "__module__", None) if callable(value) else None


def write(folder: Path) -> list[Path]:
    """Write all pages below `folder`, where they differ from what is there, and return them."""
    described.clear()
    functions = _functions(folder / "coverage.md")
    pages = {"tensor": _tensor(), **functions, "constants": _constants()}
    listed = [
        _title("Reference", "="),
        "Every function, class and constant, with what its docstring says. Functions of"
        " ``nn.functional`` stand on the pages of their kind. :doc:`What of PyTorch is here"
        " <../coverage>` has a page of its own, and the :ref:`index <genindex>` has all names.",
        "",
    ]
    groups = {"Tensors and functions": list(pages)}
    for group, modules in MODULES.items():
        made = _modules(modules)
        groups[group] = list(made)
        pages |= made
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
            inner = (*RULES, "update") if module.endswith("optim") else RULES
            lines += ["   :members:", f"   :exclude-members: {', '.join(inner)}"]
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
    families = {"Modes, seeds, files and settings": EVERYDAY.split(), **_families(page)}
    families["In place"] = sorted(name for name in waiting if name.endswith("_"))
    families["Others"] = [
        *families.pop("Others", []),
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
        parts = [
            ("At the package's top", "tinygrad_like", ours),
            ("In nn.functional", "tinygrad_like.nn.functional", layers),
        ]
        parts.sort(key=lambda part: -len(part[2]))
        for heading, module, found in parts:
            if found:
                alone = not (ours and layers) and module == "tinygrad_like"
                text += "" if alone else _title(heading, "-") + "\n"
                text += _listing(module, found) + "\n"
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


METHODS = {
    "Tensor": "The tensor itself",
    "Deferred": "Special functions, and the memory below",
    "Linalg": "Linear algebra",
    "Protocol": "For Python and NumPy",
}


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
            title = METHODS.get(title, title)
            text += _title(title, "-") + "\n" + _listing("tinygrad_like", names, "Tensor.") + "\n"
    return text


def _owner(cls: type, name: str) -> type:
    """Return the family of a method, which `cls` itself may have given more names of arguments."""
    return next((base for base in cls.__mro__[1:] if name in vars(base)), cls)


def _is_method(name: str, value: object) -> bool:
    return not name.startswith("_") and (callable(value) or isinstance(value, property))


# ----- Dtypes and numbers -------------------------------------------------------------------------


def _constants() -> str:
    """Return the page of what is neither a function nor a module: dtypes, numbers, settings."""
    torch = importlib.import_module("tinygrad_like")
    text = _title("Dtypes and constants", "=") + "\n.. currentmodule:: tinygrad_like\n\n"
    for names in constants(torch):
        value = getattr(torch, names[0])
        signatures = "\n          ".join(names)
        text += f".. data:: {signatures}\n\n   {_told(value)}\n\n"
    return text


def constants(torch: ModuleType) -> list[list[str]]:
    """Return the public names of what is neither a function nor a module, aliases side by side."""
    named: dict[int, list[str]] = {}
    for name in dir(torch):
        value = getattr(torch, name)
        plain = not (inspect.ismodule(value) or inspect.isroutine(value) or inspect.isclass(value))
        if plain and not name.startswith("_"):
            named.setdefault(id(value), []).append(name)
    # A dtype's own name comes before its aliases.
    return [
        sorted(names, key=lambda n: f"torch.{n}" != str(getattr(torch, n)))
        for names in named.values()
    ]


def _told(value: Any) -> str:
    if type(value).__name__ == "dtype":
        return f"NumPy's ``{value.dtype}``, {value.itemsize} byte{'s' * (value.itemsize > 1)} an element."
    if type(value).__name__ == "layout":
        return "How a tensor lies in memory; all tensors here are ``strided``."
    if value is None or isinstance(value, float):
        return f"``{value!r}``."
    return (inspect.getdoc(type(value)) or "").partition("\n")[0]


# ----- Modules ------------------------------------------------------------------------------------


def _modules(modules: dict[str, tuple[str, str]]) -> dict[str, str]:
    pages = {}
    for title, (name, sentence) in modules.items():
        module = importlib.import_module(f"tinygrad_like.{name}")
        text = _title(f"{title}: ``{name}``", "=")
        text += f"\n.. module:: tinygrad_like.{name}\n\n{sentence}\n\n"
        if name == "nn":
            for heading, names in _layers(module).items():
                text += (
                    _title(heading, "-") + "\n" + _listing(f"tinygrad_like.{name}", names) + "\n"
                )
        else:
            text += _listing(f"tinygrad_like.{name}", _public(module))
        pages[f"m.{name}"] = text
    return pages


def _layers(module: ModuleType) -> dict[str, list[str]]:
    """Return the names of layers by section; a file that no section names is an error."""
    titles = {file: title for title, files in LAYERS.items() for file in files}
    sections: dict[str, list[str]] = {title: [] for title in LAYERS}
    for name in _public(module):
        sections[titles[_file(module, name)]].append(name)
    for title, names in sections.items():
        names.sort(key=lambda name: LAYERS[title].index(_file(module, name)))
    return sections


def _file(module: ModuleType, name: str) -> str:
    return str(getattr(module, name).__module__.rpartition(".")[2])


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
