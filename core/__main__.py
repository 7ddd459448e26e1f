"""Classify photos of clothes from the command line, export the network, or print its model card.

    python -m core predict photo.jpg                       # one line a photo
    python -m core predict folder/ photos.zip --json       # one JSON object a line
    python -m core predict shoe.jpg --all-types            # among all product types, not the classes alone
    python -m core predict --list paths.txt --csv out.csv --parquet out.parquet
    python -m core predict s3://bucket/folder --parquet s3://bucket/results --ray   # on a Ray cluster
    python -m core find street.jpg --csv garments.csv      # the garments in photos, a row each: box, class, share of the photo
    python -m core export --onnx garments.onnx             # the network for other runtimes, with all that they need to know
    python -m core card > docs/model-card.md               # of the shipped run, or of --run artifacts/runs/RUN

A photo that is probably not one of the classes is called "Out of scope", with the closest classes; in records `in_scope` is then false.

With --csv or --parquet the work is resumable: after a kill the same command continues, and the files are those of an
uninterrupted run but for the milliseconds. Photos are then not printed, but for --json. With --ray (requirements-ray.txt) all
machines of a Ray cluster share the photos; --parquet then names a folder of Parquet files.

Exit status: 0 if at least one photo was classified or the export or card is written, 1 if none or if it could not be done,
2 for wrong usage.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import sys
from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from core.analysis.model_card import model_card
from core.artifacts.labels import ALL, OUT_OF_SCOPE
from core.artifacts.run import Run, current_run
from core.bulk.garments import Garments, find_all, save_garments
from core.bulk.heatmaps import SIZE, save_heatmap
from core.bulk.journal import Journal, journal_of
from core.bulk.pipeline import BATCH, Request, predict
from core.bulk.progress import Progress, progress
from core.bulk.writers import Record, save_csv, save_parquet
from core.errors import GarmentError, UnwritableResults
from core.images.decode import ACCEPTED_SUFFIXES, display_name
from core.images.region import Region, parse_roi
from core.images.sources import Inventory, PhotoFile, batched, find_photos, listed_paths, take_inventory
from core.inference.attributes import ATTRIBUTES
from core.inference.classifier import Classifier
from core.inference.onnx_export import export_onnx
from core.inference.postprocess import Controls
from core.settings import DEFAULTS


class _WrongUsage(Exception):
    """Options that make no sense together."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    line = argparse.ArgumentParser(
        prog="python -m core", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = line.add_subparsers(required=True, metavar="COMMAND")
    _add_predict(commands.add_parser("predict", help="classify photos"))
    _add_find(commands.add_parser("find", help="find the garments in photos, and classify each"))
    _add_export(commands.add_parser("export", help="write the network as one ONNX file"))
    _add_card(commands.add_parser("card", help="print the model card of a run as Markdown"))
    return line


def _add_card(command: argparse.ArgumentParser) -> None:
    command.set_defaults(run=_print_card)
    command.add_argument(
        "--run", dest="folder", type=Path, metavar="DIR", help="a run folder (default: the shipped run)"
    )


def _add_export(command: argparse.ArgumentParser) -> None:
    command.set_defaults(run=_export)
    command.add_argument("--onnx", type=Path, required=True, metavar="FILE", help="the file to write")
    command.add_argument(
        "--run", dest="folder", type=Path, metavar="DIR", help="a run folder (default: the shipped run)"
    )


def _add_find(command: argparse.ArgumentParser) -> None:
    command.set_defaults(run=_find)
    command.add_argument("paths", nargs="+", type=Path, metavar="PHOTO", help="photos, folders or zip files")
    command.add_argument("--csv", type=Path, metavar="FILE", help="write one row a garment")
    command.add_argument(
        "--out-of-scope", action="store_true", help="keep garments that are none of the classes, such as dresses"
    )


def _add_predict(command: argparse.ArgumentParser) -> None:
    command.set_defaults(run=_predict)
    command.add_argument("paths", nargs="*", type=Path, metavar="PATH", help="photos, folders or zip files")
    command.add_argument(
        "--list", type=Path, metavar="FILE", help="a text file with a path a line, taken after the PATHs"
    )
    command.add_argument("--json", action="store_true", help="print one JSON object a photo")
    command.add_argument("--csv", type=Path, metavar="FILE", help="also write the records as CSV")
    command.add_argument("--parquet", type=Path, metavar="FILE", help="also write the records as Parquet")
    command.add_argument(
        "--top-k", type=int, default=DEFAULTS.top_k, metavar="N", help="classes listed (default: %(default)s)"
    )
    command.add_argument(
        "--all-types",
        action="store_true",
        help="rank all product types that the network tells apart, such as shoes, not the classes alone",
    )
    command.add_argument("--group", default="all", help="only classes of this group: all (default), tops or bottoms")
    command.add_argument(
        "--upper-body-bias",
        type=float,
        default=1.0,
        metavar="X",
        help="factor on bottoms, 0 to 1 (the reference's: 0.6)",
    )
    command.add_argument("--roi", metavar="X,Y,W,H", help="look only at this region, in pixels of the upright photo")
    command.add_argument(
        "--ray", action="store_true", help="share the work on a Ray cluster; needs --parquet with a new folder"
    )
    command.add_argument("--heatmap", type=Path, metavar="DIR", help="save a Grad-CAM overlay of each photo as PNG")


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    line = parser()
    options = line.parse_args(arguments)
    try:
        return options.run(options)
    except _WrongUsage as error:
        line.error(str(error))
    except (GarmentError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130


def _chosen_run(options: argparse.Namespace) -> Run:
    return Run.load(options.folder) if options.folder else current_run()


def _print_card(options: argparse.Namespace) -> int:
    sys.stdout.write(model_card(_chosen_run(options)))
    return 0


def _export(options: argparse.Namespace) -> int:
    run = _chosen_run(options)
    export_onnx(run, options.onnx)
    print(f"{options.onnx}: the network of {run.run_id}; its metadata_props say how to use it.")
    return 0


def _find(options: argparse.Namespace) -> int:
    if options.csv and options.csv.suffix.lower() in ACCEPTED_SUFFIXES:
        raise _WrongUsage(f"--csv is {options.csv}, the name of a photo. Name a file that ends in .csv.")
    classifier = Classifier(current_run(), busy=True)
    classifier.check_finds()
    outcomes = Counter[str]()
    photos = find_all(classifier, find_photos(options.paths), options.out_of_scope)
    if options.csv:
        total = take_inventory(find_photos(options.paths)).photos
        with _room_needed(options.csv), progress(total, 0) as bar:
            save_garments(options.csv, _counted(photos, outcomes, bar))
    else:
        for photo in _counted(photos, outcomes):
            tqdm.write(_garments_line(photo))
    place = f"; written to {options.csv}" if options.csv else ""
    total = outcomes["photos"]
    print(
        f"{total} photo{'s'[: total != 1]}: {outcomes['garments']} garments, {outcomes['not readable']} photos not readable{place}.",
        file=sys.stderr,
    )
    return 0 if total > outcomes["not readable"] else 1


def _counted(photos: Iterable[Garments], outcomes: Counter[str], bar: Progress | None = None) -> Iterator[Garments]:
    """The same photos, each counted as it comes."""
    for photo in photos:
        outcomes.update({"photos": 1, "garments": len(photo.found), "not readable": int(bool(photo.error))})
        if bar:
            bar.update(1)
            if photo.error:  # which the file has no row for
                tqdm.write(_garments_line(photo), file=sys.stderr)
        yield photo


def _garments_line(photo: Garments) -> str:
    name = display_name(photo.file)
    if photo.error:
        return photo.error if photo.error.startswith(name) else f"{name}: {photo.error}"
    shown = [f"{one.answer.label} {one.answer.probability:.1%} at {_place(one.region)}" for one in photo.found]
    return f"{name}: {'; '.join(shown) or 'no garments found'}"


def _place(region: Region) -> str:
    """As --roi takes it."""
    return f"{region.left},{region.top},{region.width},{region.height}"


@dataclass(frozen=True)
class _Job:
    """What `predict` is to do."""

    options: argparse.Namespace
    classifier: Classifier
    request: Request
    inventory: Inventory

    @property
    def target(self) -> Path | None:
        """The file that results go to, and beside which the journal lies."""
        return self.options.csv or self.options.parquet

    @property
    def task(self) -> dict[str, Any]:
        """What tells this work from any other."""
        return {
            "run": self.classifier.run.run_id,
            "options": repr(self.request),
            "photos a batch": BATCH,
            "photos": self.inventory.photos,
            "names of the photos": self.inventory.names,
        }


def _predict(options: argparse.Namespace) -> int:
    if options.ray:
        return _on_ray(options)
    classifier = Classifier(current_run(), busy=True)
    try:
        request = _request(options, classifier)
        inventory = take_inventory(_photos(options))
    except (GarmentError, ValueError, OSError) as error:
        raise _WrongUsage(str(error)) from None
    job = _Job(options, classifier, request, inventory)
    if job.target:
        return _to_files(job, job.target)
    outcomes = Counter[str]()
    for records in _records(job):
        _show(records, options.json)
        outcomes.update(map(_outcome, records))
    return _finished(outcomes, [options.heatmap])


def _on_ray(options: argparse.Namespace) -> int:
    """`predict` on a Ray cluster."""
    from core.bulk.on_ray import predict_on_ray  # loads what only this needs

    if options.csv or options.json or options.heatmap or not options.parquet:
        raise _WrongUsage(
            "--ray needs --parquet with a new folder, and cannot be used with --csv, --json or --heatmap."
        )
    run = current_run()
    try:
        request = _request(options, Classifier(run))
    except (GarmentError, ValueError) as error:
        raise _WrongUsage(str(error)) from None
    listed, target = options.list and _address(options.list), _address(options.parquet)
    written = predict_on_ray(run, request, [*map(_address, options.paths)], listed, target)
    outcomes = Counter[str]()
    for rows in written.to_batches(columns=["label", "in_scope"]):
        outcomes.update(map(_outcome, rows.to_pylist()))
    return _finished(outcomes, [options.parquet])


def _address(path: Path) -> str:
    """A path, or the address of an object store, of which pathlib drops a slash."""
    return re.sub(r"^([a-z][a-z0-9+.-]+):/(?!/)", r"\1://", str(path))


def _photos(options: argparse.Namespace) -> Iterator[PhotoFile]:
    listed = listed_paths(options.list) if options.list else ()
    return find_photos(itertools.chain(options.paths, listed))


def _request(options: argparse.Namespace, classifier: Classifier) -> Request:
    """The request that the options make; ValueError, InvalidRegion or OSError says what is wrong with them."""
    labels, choices = classifier.labels, len(classifier.types if options.all_types else classifier.labels)
    if not (options.paths or options.list):
        raise ValueError("There is nothing to classify. Give photos, folders or zip files, or --list FILE.")
    if not 1 <= options.top_k <= choices:
        raise ValueError(f"--top-k is {options.top_k}; it must be from 1 to {choices}.")
    if options.all_types and (options.heatmap or options.group != ALL or options.upper_body_bias != 1):
        raise ValueError(
            "--heatmap, --group and --upper-body-bias are about the classes; they cannot be used with --all-types."
        )
    if options.group not in labels.group_choices:
        raise ValueError(f"--group is {options.group!r}; it must be one of {', '.join(labels.group_choices)}.")
    _check_targets(options)
    if options.heatmap:
        _check_heatmaps(options.heatmap, options.paths)
    region = parse_roi(options.roi) if options.roi else None
    controls = Controls(options.group, options.upper_body_bias)
    return Request(controls, options.top_k, region, SIZE if options.heatmap else None, options.all_types)


def _check_targets(options: argparse.Namespace) -> None:
    """Refuse to write results over what is to be read: `--csv *.jpg` names the first photo as the file to write."""
    targets = {"--csv": options.csv, "--parquet": options.parquet}
    read = {path.absolute() for path in (*options.paths, options.list) if path}
    for option, target in targets.items():
        if target and (target.suffix.lower() in (*ACCEPTED_SUFFIXES, ".zip") or target.absolute() in read):
            raise ValueError(
                f"{option} is {target}, which is no file for results. Name one, such as out{option.replace('--', '.')}."
            )
    if options.csv and options.parquet and options.csv.absolute() == options.parquet.absolute():
        raise ValueError(f"--csv and --parquet are both {options.csv}. Name two files.")


def _check_heatmaps(folder: Path, paths: list[Path]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for path in paths:
        if path.is_dir() and folder.resolve().is_relative_to(path.resolve()):
            raise ValueError(
                f"--heatmap is {folder}, inside {path}: heat maps would be classified too. Choose another."
            )


def _records(job: _Job, done: int = 0) -> Iterator[list[Record]]:
    """Records of one batch after another, after the first `done`, with progress on stderr."""
    batches = itertools.islice(batched(_photos(job.options), BATCH), done, None)
    total = job.inventory.photos
    with progress(total, min(done * BATCH, total)) as bar:
        for results in predict(job.classifier, batches, job.request):
            if job.options.heatmap:
                for result in results:
                    problem = save_heatmap(job.options.heatmap, result, job.classifier.labels)
                    result.record["error"] = result.record["error"] or problem
            yield [result.record for result in results]
            bar.update(len(results))


def _show(records: Iterable[Record], as_json: bool) -> None:
    for record in records:
        tqdm.write(json.dumps(record) if as_json else _line(record))


def _line(record: Record) -> str:
    """The verdict first; an error mostly begins with the photo's name by itself."""
    name, error = display_name(record["file"]), record["error"]
    if not record["label"]:
        return error if error.startswith(name) else f"{name}: {error}"
    ranking = ", ".join(f"{label} {probability:.1%}" for label, probability in record["top_k"].items())
    named = record["in_scope"] or not record["group"]  # a product of no group is named only among all types
    verdict = "" if named else f"{OUT_OF_SCOPE}; {_looks_like(record)}closest: "
    said = " · ".join(record[attribute] for attribute in ATTRIBUTES if record[attribute])
    return "; ".join(part for part in (f"{name}: {verdict}{ranking}", said, error) if part)


def _looks_like(record: Record) -> str:
    return f"looks like {record['looks_like']} {record['looks_like_probability']:.1%}; " if record["looks_like"] else ""


def _outcome(record: Record) -> str:
    """What became of a photo, in the words of the summary."""
    if not record["label"]:
        return "unreadable"
    return "classified" if record["in_scope"] else OUT_OF_SCOPE.lower()


def _finished(outcomes: Counter[str], written: Iterable[Path | None]) -> int:
    """Sum up on stderr, where no reader of JSON lines meets it; returns the exit status."""
    total, places = outcomes.total(), ", ".join(str(path) for path in written if path)
    if total > 1 or places:
        counts = ", ".join(f"{outcomes[what]} {what}" for what in ("classified", OUT_OF_SCOPE.lower(), "unreadable"))
        print(f"{total} photo{'s'[: total != 1]}: {counts}{places and f'; written to {places}'}.", file=sys.stderr)
    return 0 if total > outcomes["unreadable"] else 1


def _to_files(job: _Job, target: Path) -> int:
    """Classify into the journal, then write the files from it."""
    journal = journal_of(target, job.task)
    with _room_needed(target):
        _fill(journal, job)
    for save, path in ((save_csv, job.options.csv), (save_parquet, job.options.parquet)):
        if path:
            with _room_needed(path):
                save(path, journal.records())
    outcomes = Counter(map(_outcome, journal.records()))
    journal.discard()
    return _finished(outcomes, [job.options.csv, job.options.parquet, job.options.heatmap])


@contextmanager
def _room_needed(path: Path) -> Generator[None]:
    """Say what to do where a file beside `path` cannot be written."""
    try:
        yield
    except OSError as error:
        raise UnwritableResults(
            f"Results cannot be written to {path.parent}: {error.strerror or error}. What was written stays: make room "
            "or name a folder that can be written to; the same command continues."
        ) from None


def _fill(journal: Journal, job: _Job) -> None:
    with journal.locked():
        done = journal.resume()
        if done:
            print(f"{journal.path} holds {done} finished batches of {BATCH}: continuing.", file=sys.stderr)
        for records in _records(job, done):
            journal.append(records)
            if job.options.json:
                _show(records, as_json=True)


if __name__ == "__main__":
    sys.exit(main())
