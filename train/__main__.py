"""Train a network, from a catalogue of product photos to a run folder.

    python -m train download                                                # fetch the Kaggle data set, or say how to
    python -m train --data fashion-product-images-small.zip                 # our recipe, from torchvision's ImageNet weights
    python -m train --data DATA --recipe reference --init weights.safetensors
    python -m train --smoke                                                 # everything, on samples, in a minute on a CPU
    python -m train status RUN                                              # progress of a training
    python -m train --resume artifacts/runs/RUN                             # after a kill, a full disk, Ctrl-C
    python -m train feedback export --to FOLDER                             # corrected photos as a data set, for a second --data
    python -m train ship RUN                                                # make it the network of the product, if it is better
    python -m train record RUN                                              # keep its figures beside the others, without weights
    python -m train --data DATA attributes RUN                              # fit colour, pattern and so on of a finished run again
    python -m train --data DATA evaluate RUN                                # measure a finished run again, its weights unchanged
    python -m train --data DATA find RUN                                    # give a run a detector of the garments in a photo
    python -m train --data DATA head --feedback FILE RUN                    # fit a run's head again on reviewed corrections, as a new run
    python -m train pack --data DATA --to photos.parquet                    # one small file to train from on a rented machine
    torchrun --nproc-per-node 2 -m train --data DATA                        # several GPUs

A training ends with a run folder below artifacts/runs/ (docs/architecture.md says what is in it).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from core.errors import GarmentError
from core.settings import RUNS_FOLDER, feedback_file
from train import feedback, pipeline
from train.config import load_recipe
from train.download import download
from train.folder import reason_of
from train.pack import pack
from train.ship import record, ship
from train.smoke import draw_catalogue
from train.status import describe

# Commands for a finished run that need its data.
ON_DATA = {"evaluate": pipeline.evaluate, "attributes": pipeline.fit_attributes, "find": pipeline.find}
SMOKE_EXPLAINED = (
    "This shows only that the trainer works on this machine. A few samples and a few steps from random weights teach next to nothing, so "
    "expect an accuracy near chance."
)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    line = argparse.ArgumentParser(
        prog="python -m train", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    add = line.add_argument
    add(
        "--data",
        action="append",
        default=[],
        metavar="PATH",
        help="Kaggle zip or extracted folder, or a CSV file (id, label) that corrects it; repeatable",
    )
    add("--recipe", default="default", help="a TOML file, or the name of one in train/recipes (default: default)")
    add("--init", default="imagenet", metavar="WEIGHTS", help="imagenet (default), none, a safetensors file, or a run")
    add("--smoke", action="store_true", help="train on samples drawn in code; needs no data and no weights")
    add("--resume", metavar="RUN", type=Path, help="continue the run in this folder")
    add("--runs", type=Path, default=RUNS_FOLDER, help="where run folders are made (default: artifacts/runs)")
    add("--cache", type=Path, default=Path("cache"), help="folder for decoded pixels (default: cache)")
    add("--device", choices=["auto", "cpu", "cuda"], help="default: auto; with --resume, what the run was started with")
    commands = line.add_subparsers(
        dest="command",
        metavar="download | pack | status | ship | record | evaluate | attributes | find | head | feedback",
        title="instead of training",
    )
    fetch = commands.add_parser("download", help="fetch the Kaggle data set")
    fetch.add_argument("--to", type=Path, default=Path("data"), help="folder to put it in (default: data)")
    small = commands.add_parser(
        "pack", help="write the photos at training size into one small file, for a rented machine"
    )
    small.add_argument("--to", type=Path, required=True, metavar="FILE", help="Parquet file to make")
    small.add_argument("--data", action="append", default=argparse.SUPPRESS, metavar="PATH", help="as for a training")
    small.add_argument("--recipe", default=argparse.SUPPRESS, help="whose photos and size (default: default)")
    small.add_argument(
        "--cache", type=Path, default=argparse.SUPPRESS, help="folder for decoded pixels (default: cache)"
    )
    show = commands.add_parser("status", help="show the progress of a training")
    show.add_argument("run", type=Path, help="run folder")
    for name, purpose in (
        ("ship", "make a run the product's network, if it is better"),
        ("record", "keep a run's figures, not its weights"),
        (
            "evaluate",
            "measure a run again as this version measures runs; needs the --data it was trained on",
        ),
        (
            "find",
            "teach a run to find the garments in a photo; needs the --data it was trained on, street photos among it",
        ),
        ("attributes", "fit colour, pattern and so on of a run again; needs the --data it was trained on"),
    ):
        commands.add_parser(name, help=purpose).add_argument("run", type=Path, help="folder of a finished run")
    head = commands.add_parser(
        "head", help="fit a run's head again on reviewed corrections; makes a run of its own below --runs"
    )
    head.add_argument("run", type=Path, help="folder of a finished run, which stays as it is")
    head.add_argument(
        "--feedback",
        type=Path,
        required=True,
        metavar="FILE",
        help="decisions: the CSV file that the confusion page exports, or the SQLite file of corrections",
    )
    head.add_argument(
        "--data", action="append", default=argparse.SUPPRESS, metavar="PATH", help="as the run was trained on"
    )
    corrections = commands.add_parser("feedback", help="use what visitors corrected")
    corrections.add_argument("action", choices=["export"])
    corrections.add_argument("--to", type=Path, required=True, metavar="FOLDER", help="folder to make")
    return line


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit status: 0 done, 1 stopped with a message, 2 wrong usage, 130 interrupted."""
    line = parser()
    options = line.parse_args(arguments)
    if not (options.data or options.resume or options.smoke or options.command not in (None, "pack", "head", *ON_DATA)):
        line.error("--data is needed: the Kaggle zip or its extracted folder (or --smoke)")
    try:
        _carry_out(options)
    except (GarmentError, OSError) as error:
        print(f"Stopped: {reason_of(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as interrupt:
        print(interrupt.args[0] if interrupt.args else "Interrupted; run the same command again.", file=sys.stderr)
        return 130
    return 0


def _carry_out(options: argparse.Namespace) -> None:
    if options.command == "download":
        print(f"Train with: python -m train --data {download(options.to)}")
    elif options.command == "status":
        print(describe(options.run))
    elif options.command == "pack":
        print(pack(load_recipe(options.recipe), [Path(path) for path in options.data], options.cache, options.to))
    elif options.command in ("ship", "record"):
        print({"ship": ship, "record": record}[options.command](options.run, options.runs))
    elif options.command in ON_DATA:
        print(ON_DATA[options.command](options.run, options.data, options.cache))
    elif options.command == "head":
        print(pipeline.refit_head(options.run, options.data, options.cache, options.feedback, options.runs))
    elif options.command == "feedback":
        print(feedback.export(feedback_file(), options.to))
    elif options.resume:
        pipeline.resume(options.resume, options.device)
    else:
        _start(options)


def _start(options: argparse.Namespace) -> None:
    recipe = load_recipe("smoke" if options.smoke else options.recipe)
    init = "none" if options.smoke else options.init
    data = [draw_catalogue(options.cache / "drawn-catalogue", recipe.labels())] if options.smoke else options.data
    paths = [str(Path(path).resolve()) for path in data]
    job = pipeline.Job(paths, _absolute(init), str(options.cache.resolve()), options.device or "auto")
    given = {"recipe": recipe.name, "data": [Path(path).name for path in paths], "init": Path(init).name}
    pipeline.start(recipe, given, job, options.runs)
    if options.smoke:
        print(SMOKE_EXPLAINED)


def _absolute(init: str) -> str:
    """A file or run stays the same one when the run is resumed from elsewhere."""
    return init if init in ("imagenet", "none") else str(Path(init).resolve())


if __name__ == "__main__":
    sys.exit(main())
