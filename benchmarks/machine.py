"""What is measured besides time: the machine, imports, memory and size on disk."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).resolve().parent.parent / "tinygrad_like"


def description() -> dict[str, str]:
    """Return the processor and the versions of what is compared."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        model = next((x.split(": ", 1)[1] for x in lines if x.startswith("model name")), model)
    found = {"processor": model, "Python": platform.python_version()}
    for name in ("numpy", "torch", "numba", "jax", "mygrad"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def cpu_of_import(module: str, after: str = "sys", repeats: int = 8) -> float:
    """Return the CPU seconds that importing a module takes, after another one, at best."""
    code = (
        f"import time, {after}; start = time.process_time(); import {module}; "
        "print(time.process_time() - start)"
    )
    # Installed packages are compiled once, so this one may be too.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-c", code]
    runs = [
        subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        for _ in range(repeats)
    ]
    return min(float(run.stdout) for run in runs)


def imports() -> dict[str, float]:
    """Return the CPU seconds of imports; this package's are those above NumPy's."""
    return {
        "numpy": cpu_of_import("numpy"),
        "ours": cpu_of_import("tinygrad_like", after="numpy"),
        "torch": cpu_of_import("torch", repeats=4),
    }


def installed_sizes() -> dict[str, float]:
    """Return the size on disk in MB of the packages themselves, without compiled bytecode."""

    def megabytes(paths: Any) -> float:
        kept = (p for p in paths if "__pycache__" not in p.parts and p.is_file())
        return float(sum(p.stat().st_size for p in kept)) / 1e6

    ours = [p for folder in (PACKAGE, PACKAGE / "nn") for p in folder.rglob("*")]
    sizes = {"ours": megabytes({p.resolve() for p in ours})}  # `nn` is a link to a folder
    for name in ("numpy", "torch"):
        files = importlib.metadata.files(name) or []
        sizes[name] = megabytes(Path(str(f.locate())) for f in files)
    return sizes


def peak_memory(workload: str, system: str, steps: int = 20) -> float:
    """Return the largest resident size in MB of this process after some steps.

    A process starts with its parent's largest size, so the parent must be a small one.
    """
    from benchmarks.systems import load

    module = load(system)
    work = module.make(workload)
    with module.active():
        for _ in range(steps):
            work.step()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
