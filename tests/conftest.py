"""One thread for every test and all that it starts: machines that run tests are busy, and sums are then the same everywhere."""
import os
import signal
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ["OMP_NUM_THREADS"] = "1"


@pytest.fixture(autouse=True)
def signals_as_before():
    """train.main takes SIGTERM and SIGINT for itself; in the test process they go back to where they were."""
    before = {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
