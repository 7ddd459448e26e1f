"""How much a run's network loses on photos that are padded, stretched, rotated, dark, blurred or compressed, on its test products.

    python -m benchmarks.robustness --data fashion-product-images-small.zip
    python -m benchmarks.robustness --data CATALOGUE --data SHARPER_CATALOGUE --run artifacts/runs/RUN

Prints the table that the run's model card carries, for any run with a network and a `predictions.csv`. Of several data sets the last one
that has a photo gives it, as in training.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import msgspec

from core.analysis.model_card import robustness_table
from core.artifacts.measures import Robustness
from core.artifacts.run import Run, current_run
from core.inference.engine import Engine
from train.catalogue import Source
from train.dataset import decoded_product
from train.meter import meter
from train.robustness import measure


def main() -> None:
    line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    line.add_argument("--data", type=Path, action="append", required=True, help="Kaggle zip or extracted folder")
    line.add_argument("--run", type=Path, metavar="DIR", help="a run folder (default: the shipped run)")
    line.add_argument("--photos", type=int, metavar="N", help="only the first N test photos (default: all)")
    options = line.parse_args()
    run = Run.load(options.run) if options.run else current_run()
    sources = [Source(path) for path in options.data]
    table = run.read_csv("predictions.csv")[: options.photos]
    targets = table["label"].map(run.labels.names.index).to_numpy()
    photos = (decoded_product(sources, photo_id) for photo_id in meter(table["id"].tolist(), "measuring", "photos"))
    measured = measure(Engine(run), photos, targets, run.threshold)
    print(f"run {run.run_id}\n\n{robustness_table(msgspec.convert(measured, Robustness))}")


if __name__ == "__main__":
    main()
