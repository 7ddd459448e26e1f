"""Train a network, from a catalogue of product photos to a run folder.

    python -m train --data fashion-product-images-small.zip                 # our recipe, from torchvision's ImageNet weights
    python -m train --data DATA --recipe reference --init weights.safetensors
    python -m train --smoke                                                 # everything, on drawn garments, in a minute on a CPU
    python -m train --resume artifacts/runs/RUN                             # after a kill, a full disk, Ctrl-C
    torchrun --nproc-per-node 2 -m train --data DATA                        # several GPUs

Ends with a whole folder below artifacts/runs/ (docs/architecture.md says what is in it).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from core.errors import GarmentError
from core.runs import RUNS_FOLDER
from train import pipeline
from train.config import load_recipe
from train.smoke import draw_catalogue


def parser() -> argparse.ArgumentParser:
    """The command line."""
    line = argparse.ArgumentParser(
        prog="python -m train", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    line.add_argument(
        "--data", action="append", default=[], metavar="PATH", help="Kaggle zip or extracted folder; repeatable"
    )
    line.add_argument(
        "--recipe", default="default", help="a TOML file, or the name of one in train/recipes (default: default)"
    )
    line.add_argument(
        "--init", default="imagenet", metavar="WEIGHTS", help="imagenet (default), none, a safetensors file, or a run"
    )
    line.add_argument(
        "--smoke", action="store_true", help="train on garments drawn in code; needs no data and no weights"
    )
    line.add_argument("--resume", metavar="RUN", type=Path, help="continue the run in this folder")
    line.add_argument(
        "--runs", type=Path, default=RUNS_FOLDER, help="where run folders are made (default: artifacts/runs)"
    )
    line.add_argument("--cache", default="cache", help="folder for decoded pixels (default: cache)")
    line.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    return line


def _use_smoke(options: argparse.Namespace) -> None:
    options.recipe, options.init = "smoke", "none"
    labels = load_recipe("smoke").labels()
    options.data = [str(draw_catalogue(Path(options.cache) / "drawn-catalogue", labels))]


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit status: 0 done, 1 stopped with a message, 2 wrong usage, 130 interrupted."""
    options = parser().parse_args(arguments)
    try:
        if options.resume:
            pipeline.resume(options.resume, options.device)
            return 0
        if options.smoke:
            _use_smoke(options)
        if not options.data:
            parser().error("--data is needed: the Kaggle zip or its extracted folder (or --smoke)")
        recipe = load_recipe(options.recipe)
        given = {
            "recipe": recipe.name,
            "data": [Path(path).name for path in options.data],
            "init": Path(options.init).name,
        }
        job = pipeline.Job(options.data, options.init, options.cache, options.device)
        folder = pipeline.start(recipe, given, job, options.runs)
        print(f"Done: {folder}")
    except GarmentError as error:
        print(f"Stopped: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted. Continue with --resume.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
