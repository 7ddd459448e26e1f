"""How well the shipped run finds garments, on the test split of its own data.

    python -m benchmarks.find_garments                  # as measured when its detector was taught
    python -m benchmarks.find_garments --data CATALOGUE --data SHARPER_CATALOGUE --data PHONE_PHOTOS --data STREET_PHOTOS

Street photos are measured against the boxes of their masks, sheets of two products against what is not white on them, phone photos
against what differs from the colours of their border. Give the data sets that the run was trained on, in the same order.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from core.artifacts.run import Run, current_run
from core.inference.classifier import Classifier
from core.inference.detect import has_detector
from train.find.command import in_words
from train.find.evaluate import measured, milliseconds
from train.find.examples import Examples
from train.pipeline import trained_on

TIMED_PHOTOS = 10


def main() -> None:
    line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    line.add_argument("--data", action="append", default=[], metavar="PATH", help="a data set of the run; repeatable")
    line.add_argument("--run", type=Path, metavar="DIR", help="a run folder (default: the shipped run)")
    line.add_argument("--cache", type=Path, default=Path("cache"), help="folder for decoded pixels (default: cache)")
    options = line.parse_args()
    run = Run.load(options.run) if options.run else current_run()
    print(f"run {run.run_id}")
    rows = run.read_json("metrics.json").get("detector")
    if not has_detector(run):
        print("has no detector; `python -m train find --data … RUN` teaches it one")
    elif options.data:
        _measure(run, options.data, options.cache)
    elif rows is None:
        print("its detector was not measured; give the --data that it was taught with")
    else:
        _show(rows["test"], rows["milliseconds"])


def _measure(run: Run, data: list[str], cache: Path) -> None:
    classifier = Classifier(run)
    recipe, photos = trained_on(run, data, cache)
    examples = Examples(photos, recipe.class_list())
    images = [examples.street_photo(*file)[0] for file in examples.street_files("test")[:TIMED_PHOTOS]]
    _show(measured(classifier, examples, "test"), milliseconds(classifier, images))


def _show(rows: dict[str, Any], times: dict[str, float]) -> None:
    print(in_words(rows))
    print(
        f"time a photo: median {times['median']:.0f} ms, 95th percentile {times['p95']:.0f} ms, on {os.cpu_count()} cores"
    )


if __name__ == "__main__":
    main()
