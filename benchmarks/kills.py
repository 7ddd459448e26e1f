"""Kill a real training at random moments, or fill its disk up, resume it each time, and compare its outcome with an undisturbed one.

    python -m benchmarks.kills --kills 25                # ten minutes on two idle cores: the smoke recipe, the whole ResNet50
    python -m benchmarks.kills --small                   # some minutes: the tests' network in its place
    unshare -rm python -m benchmarks.kills --full-disks 25      # Linux: trains on a disk in memory, made small each time

Every kill is a SIGKILL, at any moment of the time that an undisturbed run takes; a full disk leaves a random part of the space that a run
takes. Expected: each time the trainer ends by the kill or with its message, and no outcome differs in any file of the run folder, times and
names apart. Exits with the number of failures.
"""

from __future__ import annotations

import argparse
import random
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.train_cases import differences, epochs_done, run_until

TRAIN = [sys.executable, "-m", "train"]
TRAIN_SMALL = [sys.executable, "-m", "tests.train_cases"]
PLENTY = 8 * 2**30  # bytes of the disk in memory
FULL = "No space left on device"


@dataclass
class Torment:
    """What is done to the runs below a folder, and what came of it.

    Args:
        base: the folder; the disk in memory, where that is to fill up.
        trainer: the command without its arguments.
        rng: draws the moments and the space left.
        seconds: that a run takes.
        needed: bytes that a run folder takes at most.
    """

    base: Path
    trainer: list[str]
    rng: random.Random
    seconds: float = 0.0
    needed: int = 0
    done: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def undisturbed(self) -> Path:
        """Train without any fault; notes how long it takes and how much space."""
        start, runs = time.perf_counter(), self.base / "undisturbed"

        def measure() -> bool:
            self.needed = max(self.needed, size_of(runs))
            return False

        run_until(self.trainer + self.smoke("undisturbed"), measure)
        folder, self.seconds = newest(runs), time.perf_counter() - start
        assert folder is not None, "the undisturbed run failed; see `python -m train --smoke`"
        print(
            f"undisturbed: {epochs_done(folder)} epochs, {self.seconds:.0f} s, {self.needed / 2**20:.0f} MB", flush=True
        )
        return folder

    def run(self, faults: list[str]) -> None:
        """Inflict every fault; a run that ends before they are used up is compared, and another one begun."""
        expected = self.undisturbed()
        while faults:
            target = self.base / "tormented"
            while not (folder := newest(target)) or not (folder / "manifest.json").exists():
                command = ["--resume", str(folder)] if folder else self.smoke("tormented")
                if faults and self.inflict(faults[-1], command):
                    fault = faults.pop()
                    self.done[fault] += 1
                    epochs = epochs_done(found) if (found := newest(target)) else 0
                    print(f"{fault} {self.done[fault]}: {epochs} epochs done", flush=True)
                elif not faults and self.train(command)[0]:
                    raise RuntimeError(f"{shlex.join(self.trainer + command)} fails without any fault")
            found = differences(folder, expected)
            self.done["outcome"] += 1
            print(f"outcome {self.done['outcome']}: {f'differs in {found}' if found else 'the same'}", flush=True)
            self.failures += [f"outcome {self.done['outcome']} differs in {found}"] if found else []
            shutil.rmtree(target)

    def inflict(self, fault: str, command: list[str]) -> bool:
        """Go on with a run under a fault; whether it fell to it, rather than being done before."""
        if fault == "kill":
            moment = time.monotonic() + self.rng.uniform(0, self.seconds)
            status, said = self.train(command, lambda: time.monotonic() >= moment)
            as_it_should = status in (0, -signal.SIGKILL)
        else:
            resize(self.base, shutil.disk_usage(self.base).used + round(self.rng.uniform(0, self.needed)))
            status, said = self.train(command)
            resize(self.base, PLENTY)
            as_it_should = status == 0 or status == 1 and FULL in said and "Traceback" not in said
        if not as_it_should:
            self.failures.append(f"{fault}: ended with {status}: {said[-2000:]}")
            print(self.failures[-1], flush=True)
        return status != 0

    def train(self, command: list[str], kill_when: Callable[[], bool] = lambda: False) -> tuple[int, str]:
        """Run the trainer, killed at a moment; its exit status and what it said of errors."""
        with tempfile.TemporaryFile("w+") as errors:
            status = run_until(self.trainer + command, kill_when, errors=errors)
            errors.seek(0)
            return status, errors.read()

    def smoke(self, runs: str) -> list[str]:
        return ["--smoke", "--cache", str(self.base / "cache"), "--runs", str(self.base / runs)]


def newest(runs: Path) -> Path | None:
    """The run folder below `runs` that can be resumed or is whole."""
    opened = [path.parent for name in ("resume.json", "manifest.json") for path in runs.glob(f"*/{name}")]
    return max(opened, default=None)


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder, which may change meanwhile."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            total += path.stat().st_size
    return total


@contextmanager
def disk_in_memory(folder: Path) -> Iterator[None]:
    """A disk of its own in the place of a folder, whose size can be changed."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={PLENTY}", "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def resize(folder: Path, size: int) -> None:
    """Give the disk in memory so many bytes."""
    subprocess.run(["mount", "-o", f"remount,size={size}", folder], check=True)


def main() -> int:
    line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    line.add_argument("--kills", type=int, default=25)
    line.add_argument("--full-disks", type=int, default=0)
    line.add_argument("--small", action="store_true", help="train the tests' small network instead of ResNet50")
    line.add_argument("--seed", type=int, default=0)
    options = line.parse_args()
    rng = random.Random(options.seed)
    faults = ["kill"] * options.kills + ["full disk"] * options.full_disks
    rng.shuffle(faults)
    with tempfile.TemporaryDirectory() as name, disk_in_memory(Path(name)) if options.full_disks else nullcontext():
        torment = Torment(Path(name), TRAIN_SMALL if options.small else TRAIN, rng)
        torment.run(faults)
    print(f"{dict(torment.done)}; {len(torment.failures)} failures")
    return len(torment.failures)


if __name__ == "__main__":
    sys.exit(main())
