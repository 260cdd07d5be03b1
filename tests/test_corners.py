"""What PyTorch gives, or refuses, at the edge of what functions do."""

import pytest

from tests.both import compare
from tests.corners import LINES, names


@pytest.mark.parametrize("line", LINES)
@pytest.mark.filterwarnings("ignore")
def test_corner_is_pytorchs(line: str) -> None:
    compare(lambda package: eval(line, names(package)), 1e-9)
