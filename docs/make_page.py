"""Make the picture of docs/page.md again, by Chromium: ``make pictures``."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
STEP = 7  # the one that is shown


def make(path: Path, chromium: str) -> None:
    """Run the page's example and write what a browser shows of it."""
    text = (HERE / "page.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
    former = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            Path("train.py").write_text(example, encoding="utf-8")
            exec(compile(example, str(Path(folder, "train.py")), "exec"), {"__name__": "__main__"})
        finally:
            os.chdir(former)
        command = [chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        command += ["--window-size=1200,840", "--virtual-time-budget=5000", f"--screenshot={path}"]
        command.append(f"{Path(folder, 'step.html').as_uri()}#step={STEP}")
        subprocess.run(command, check=True, capture_output=True, timeout=60)


if __name__ == "__main__":
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        sys.exit("docs/page.png is made by Chromium, which is not here")
    make(HERE / "page.png", found)
    print(HERE / "page.png")
