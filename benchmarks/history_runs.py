"""How long the training history page takes over 200 runs of 1,000 epochs: `python -m benchmarks.history_runs`.

Makes up the runs, one of them in training, in a temporary folder, then runs the page's script as the server does (Streamlit's AppTest,
without a browser). The first view reads every file; each change is made nine times after one burn-in, while the trainer's heartbeat
goes on. Expected on 2 idle cores: the median of each change below 1 s; the script exits with 1 otherwise.
"""

from __future__ import annotations

import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from streamlit.testing.v1 import AppTest

from tests.run_factory import write_live_run, write_run

PAGE = Path(__file__).resolve().parent.parent / "pages" / "2_Training_history.py"
RUNS, EPOCHS = 200, (100, 200, 300, 400)
OVERLAID = 5
REPEATS, LIMIT = 9, 1.0
AXES = ("Step", "Images seen", "Hours", "Epoch")


def seconds(action: Callable[[], object]) -> float:
    """Wall time of a call."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def changes(app: AppTest, live: Path) -> dict[str, list[float]]:
    """Name of a change to the times it took."""
    ids = [f"run-{i}" for i in range(RUNS)]
    made: dict[str, Callable[[int], object]] = {
        "another run": lambda i: app.multiselect("runs").set_value([ids[i]]),
        f"{OVERLAID} other runs": lambda i: app.multiselect("runs").set_value(ids[i : i + OVERLAID]),
        f"smoothing of {OVERLAID} runs": lambda i: app.slider("smoothing").set_value(round(0.1 * (i % 9), 1)),
        f"axis of {OVERLAID} runs": lambda i: app.segmented_control("axis").set_value(AXES[i % 4]),
    }
    return {name: [_timed(app, change, i, live) for i in range(REPEATS + 1)][1:] for name, change in made.items()}


def _timed(app: AppTest, change: Callable[[int], object], i: int, live: Path) -> float:
    os.utime(live / "progress.json")
    change(i)
    taken = seconds(app.run)
    if app.exception or app.error:
        raise SystemExit(f"the page failed: {[item.value for item in [*app.exception, *app.error]]}")
    return taken


def main() -> int:
    """Measure, print, and say by the exit code whether the limit holds."""
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["GARMENTS_RUNS"] = folder
        for i in range(RUNS):
            write_run(Path(folder), f"run-{i}", EPOCHS)
        live = write_live_run(Path(folder), "live", 3)
        app = AppTest.from_file(str(PAGE), default_timeout=120)
        print(f"first view {seconds(app.run):.2f} s")
        slow = False
        for name, times in changes(app, live).items():
            median = statistics.median(times)
            slow |= median > LIMIT
            print(f"{name:<24} {median:5.2f} s  ({min(times):.2f} to {max(times):.2f}, n={len(times)})")
    return int(slow)


if __name__ == "__main__":
    raise SystemExit(main())
