"""Classify photos of clothes from the command line, and print a network's model card.

    python -m core predict photo.jpg                       # one line a photo
    python -m core predict folder/ photos.zip --json       # one JSON object a line
    python -m core predict folder/ --csv out.csv --heatmap maps/
    python -m core card > docs/model-card.md               # of the shipped run, or of --run artifacts/runs/RUN

Exit status: 0 if at least one photo was classified (or the card printed), 1 if none, 2 for wrong usage.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tqdm import tqdm

from core.classifier import Classifier
from core.decide import Controls
from core.errors import GarmentError
from core.images import display_name
from core.labels import LabelSet
from core.model_card import model_card
from core.predict import RECORD_FIELDS, Request, find_photos, predict
from core.roi import parse_roi
from core.runs import Run, current_run, runs_folder

PHOTOS_WORTH_A_BAR = 20


def parser() -> argparse.ArgumentParser:
    """The command line."""
    line = argparse.ArgumentParser(
        prog="python -m core", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = line.add_subparsers(required=True, metavar="predict | card")
    card = commands.add_parser("card", help="print the model card of a run as Markdown")
    card.add_argument("--run", type=Path, metavar="RUN", help="run folder (default: that of the shipped run)")
    card.set_defaults(carry_out=_print_card)
    command = commands.add_parser("predict", help="classify photos")
    command.set_defaults(carry_out=_predict)
    command.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="photos, folders or zip files")
    command.add_argument("--json", action="store_true", help="print one JSON object a photo")
    command.add_argument("--csv", type=Path, metavar="FILE", help="also write the records as CSV")
    command.add_argument("--top-k", type=int, default=5, metavar="N", help="classes listed (default: 5)")
    command.add_argument("--group", default="all", help="only classes of this group: all (default), tops or bottoms")
    command.add_argument(
        "--upper-body-bias",
        type=float,
        default=1.0,
        metavar="X",
        help="factor on bottoms, 0 to 1 (the reference's: 0.6)",
    )
    command.add_argument("--roi", metavar="X,Y,W,H", help="look only at this region, in pixels of the upright photo")
    command.add_argument("--heatmap", type=Path, metavar="DIR", help="save a Grad-CAM overlay of each photo as PNG")
    return line


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    line = parser()
    options = line.parse_args(arguments)
    try:
        return options.carry_out(options, line)
    except GarmentError as error:
        print(error, file=sys.stderr)
        return 1


def _print_card(options: argparse.Namespace, line: argparse.ArgumentParser) -> int:
    run = Run.load(options.run) if options.run else current_run(runs_folder())
    sys.stdout.write(model_card(run))
    return 0


def _predict(options: argparse.Namespace, line: argparse.ArgumentParser) -> int:
    classifier = Classifier.load()
    try:
        request = _request(options, classifier.labels)
    except (GarmentError, ValueError, OSError) as error:
        line.error(str(error))
    files = find_photos(options.paths)
    records = tqdm(
        predict(classifier, files, request),
        total=len(files),
        unit="img",
        disable=None if len(files) >= PHOTOS_WORTH_A_BAR else True,
    )
    return 0 if _write(records, options) else 1


def _request(options: argparse.Namespace, labels: LabelSet) -> Request:
    """The request that the options make; ValueError, InvalidRegion or OSError says what is wrong with them."""
    if not 1 <= options.top_k <= len(labels):
        raise ValueError(f"--top-k is {options.top_k}; it must be from 1 to {len(labels)}.")
    if options.group not in labels.group_choices:
        raise ValueError(f"--group is {options.group!r}; it must be one of {', '.join(labels.group_choices)}.")
    if options.heatmap:
        options.heatmap.mkdir(parents=True, exist_ok=True)
    region = parse_roi(options.roi) if options.roi else None
    return Request(Controls(options.group, options.upper_body_bias), options.top_k, region, options.heatmap)


def _write(records: Iterable[dict[str, Any]], options: argparse.Namespace) -> int:
    """Print the records, and write the CSV beside; returns how many photos were classified."""
    classified = 0
    for record in _also_to_csv(records, options.csv):
        tqdm.write(json.dumps(record) if options.json else _line(record))
        classified += bool(record["label"])
    return classified


def _line(record: dict[str, Any]) -> str:
    if not record["label"]:
        return f"{display_name(record['file'])}: {record['error']}"
    ranking = ", ".join(f"{name} {probability:.1%}" for name, probability in record["top_k"].items())
    verdict = "" if record["in_scope"] else " (does not look like one of these kinds)"
    return f"{display_name(record['file'])}: {ranking}{verdict}{'; ' if record['error'] else ''}{record['error']}"


def _also_to_csv(records: Iterable[dict[str, Any]], path: Path | None) -> Iterator[dict[str, Any]]:
    """Pass the records on, writing each to a CSV that takes its name only when it is complete."""
    if path is None:
        yield from records
        return
    partial = path.with_name(f"{path.name}.part")
    with partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list[str](RECORD_FIELDS))
        writer.writeheader()
        for record in records:
            writer.writerow(record | {"top_k": json.dumps(record["top_k"])})
            yield record
    partial.replace(path)


if __name__ == "__main__":
    sys.exit(main())
