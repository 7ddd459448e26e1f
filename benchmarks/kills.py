"""Kill a real training 25 times at random moments, resume it each time, and compare its outcome with an undisturbed one.

    python -m benchmarks.kills --kills 25          # about half an hour on a CPU: the smoke recipe, the whole ResNet50

Every kill is a SIGKILL. Expected: no difference in any file of the run folder, times and names apart.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.train_cases import differences, epochs_done, run_until

TRAIN = [sys.executable, "-m", "train"]


def main() -> int:
    line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    line.add_argument("--kills", type=int, default=25)
    line.add_argument("--seed", type=int, default=0)
    options = line.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return torment(Path(folder), options.kills, random.Random(options.seed))


def torment(base: Path, kills: int, rng: random.Random) -> int:
    """Restart the tormented run from the beginning whenever it ends before the kills do; returns the number of outcomes that differ."""
    expected, duration = undisturbed(base)
    killed, failures, runs = 0, 0, 0
    while killed < kills:
        runs += 1
        target = base / f"tormented{runs}"
        while not (folder := newest(target)) or not (folder / "manifest.json").exists():
            command = ["--resume", str(folder)] if folder else smoke(base, target)
            delay = rng.uniform(0, duration) if killed < kills else float("inf")
            if struck(command, delay):
                killed += 1
                epochs = epochs_done(found) if (found := newest(target)) else 0
                print(f"kill {killed}: after {delay:.1f} s, {epochs} epochs done", flush=True)
        found = differences(folder, expected)
        failures += bool(found)
        print(f"outcome {runs}: {'the same' if not found else f'differs in {found}'}", flush=True)
    return failures


def undisturbed(base: Path) -> tuple[Path, float]:
    start = time.perf_counter()
    run_until(TRAIN + smoke(base, base / "undisturbed"), lambda: False)
    duration = time.perf_counter() - start
    folder = newest(base / "undisturbed")
    assert folder is not None, "the undisturbed run failed; see `python -m train --smoke`"
    print(f"undisturbed: {duration:.0f} s", flush=True)
    return folder, duration


def smoke(base: Path, runs: Path) -> list[str]:
    return ["--smoke", "--cache", str(base / "cache"), "--runs", str(runs)]


def newest(runs: Path) -> Path | None:
    """The run folder below `runs` that can be resumed or is whole."""
    opened = [path.parent for name in ("resume.json", "manifest.json") for path in runs.glob(f"*/{name}")]
    return max(opened, default=None)


def struck(command: list[str], delay: float) -> bool:
    end = time.perf_counter() + delay
    return run_until(TRAIN + command, lambda: time.perf_counter() >= end) == -signal.SIGKILL


if __name__ == "__main__":
    sys.exit(main())
