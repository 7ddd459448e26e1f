"""A training as a report to hand in: one document of blocks, written as HTML (works offline) or PDF (A4). Settings come last."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import pandas as pd

from core.analysis import history
from core.analysis import text as words
from core.analysis.confusion import cell_rows, confused_pairs
from core.analysis.metrics import classification_table_from_counts, confusion_counts, reliability_table
from core.analysis.stages import changes_table
from core.artifacts.predictions import Predictions, prediction_file, read_predictions, stage_files
from core.artifacts.training import Training
from core.errors import UnreadablePhoto
from core.images.dataset import PhotoFiles
from core.images.decode import decode_photo
from core.images.encode import jpeg
from core.plots import report_charts as charts

WORST_PAIRS, PHOTOS_A_PAIR, THUMBNAIL = 5, 6, (96, 128)
TWO_DECIMALS = (
    "best_validation", "final_train", "final_validation", "train_accuracy", "val_accuracy", "val_phone_accuracy",
    "val_worn_accuracy", "test_accuracy",
)  # fmt: skip
EPOCH_COLUMNS = (  # as many as can be read on A4
    "epoch", "stage", "stage_name", "lr", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "val_macro_f1", "val_phone_accuracy",
    "val_worn_accuracy", "seconds", "images_per_second",
)  # fmt: skip
WHOLE = ("trainable_parameters", "epoch", "stage", "images", "n", "support", "epochs", "peak_memory_mib", "seconds")


@dataclass(frozen=True)
class Heading:
    """A heading of a section."""

    text: str


@dataclass(frozen=True)
class Paragraph:
    """Plain text; `small` for notes, `lead` for the first sentence."""

    text: str
    style: str = ""


@dataclass(frozen=True)
class Chart:
    """A vector drawing with a sentence for those who cannot see it."""

    svg: str
    alt: str


@dataclass(frozen=True)
class Table:
    """Headings and rows of text."""

    headings: list[str]
    rows: list[list[str]]


@dataclass(frozen=True)
class Photos:
    """Small JPEG photos in a row, with a caption each."""

    jpegs: list[bytes]
    captions: list[str]


Block = Heading | Paragraph | Chart | Table | Photos


def report(
    training: Training,
    published: Training | None = None,
    photos: PhotoFiles | None = None,
    earlier: Sequence[Training] = (),
) -> list[Block]:
    """The report of a training. Raises BrokenRun or InvalidData if its predictions cannot be read.

    Args:
        training: finished or not.
        published: the published run to compare it with.
        photos: of the data set, where it is on this machine.
        earlier: those it continued from, the first one first, whose curves, stages and epochs are told with its own.
    """
    predictions, parts = _predictions(training), [*earlier, training]
    whole = history.joined(parts)
    return [
        *_story(training, whole),
        *_curves(whole),
        *_stages(parts),
        *(_test(training, predictions, photos) if predictions else ()),
        *_elsewhere(training),
        *(_against_published(whole, published) if published and published.run_id != training.run_id else ()),
        *_epochs(whole),
        *_photos(training),
        *_settings(training),
    ]


def _predictions(training: Training) -> Predictions | None:
    run = training.run
    name = prediction_file(run) if run else None
    return read_predictions(run.path(name), name, run.labels) if run and name else None


def _story(training: Training, whole: Training) -> Iterator[Block]:
    facts = training.facts
    commit = facts.git_commit if facts else None
    identity = [training.run_id, facts.created[:10] if facts else "", f"commit {commit[:12]}" if commit else ""]
    yield Heading(training.name)
    yield Paragraph(" · ".join(fact for fact in identity if fact), "small")
    yield Paragraph(words.headline(whole), "lead")
    yield Paragraph(_test_in_words(training))
    remarks = [words.circumstances(training), words.total_in_words(whole), *training.notes]
    yield Paragraph(" ".join(remark for remark in remarks if remark), "small")


def _test_in_words(training: Training) -> str:
    test = training.test_accuracy
    if test.value is not None:
        photos = training.metrics.test.photos
        of = f" on {photos:,} test photos" if photos else ""
        return f"Test accuracy {test.value:.2%}{of}, 95% interval {test.low:.2%} to {test.high:.2%}."
    return f"Test accuracy {test.as_published}, as published." if test.as_published else "Not tested yet."


def _curves(training: Training) -> Iterator[Block]:
    if training.best is None:
        return
    yield Heading("Curves")
    yield Chart(charts.accuracy(training), "Accuracy by epoch, the stages of unfreezing shaded")
    if training.knows("train_loss", "val_loss"):
        yield Chart(charts.loss(training), "Loss by epoch")
    yield Paragraph(words.gap_in_words(training.epochs))


def _stages(parts: list[Training]) -> Iterator[Block]:
    stages = history.story_table(parts)
    if stages.empty:
        return
    yield Heading("Gain per stage")
    yield Chart(charts.stages(stages), "Final training, final validation and best validation accuracy by stage")
    changes = changes_table(_stage_predictions(parts[0]) if len(parts) == 1 else {})
    shown = stages.merge(changes, on="stage", how="left") if len(changes) else stages
    run = ["run"] * (len(parts) > 1)
    columns = [*run, "stage", "name", "epochs", "best_validation", "final_train", "final_validation", "gain"]
    changed = [name for name in ("became_correct", "became_incorrect", "p") if name in shown]
    yield _table(pd.DataFrame(shown[[*columns, *changed]]))
    if len(changes):
        yield Paragraph(
            "Became correct and incorrect: validation photos against the stage before; p by McNemar's exact test.",
            "small",
        )


def _stage_predictions(training: Training) -> dict[int, Predictions]:
    run = training.run
    files = stage_files(run) if run else {}
    return {stage: read_predictions(run.path(name), name, run.labels) for stage, name in files.items()} if run else {}


def _test(training: Training, predictions: Predictions, photos: PhotoFiles | None) -> Iterator[Block]:
    names = predictions.labels.names
    counts = confusion_counts(predictions.true, predictions.predicted, len(names))
    yield Heading("Confusion matrix")
    yield Chart(charts.matrix(counts, names), "Confusion matrix: true class in rows, predicted class in columns")
    yield Heading("Classes")
    yield _classes(classification_table_from_counts(counts, names))
    yield Heading("Most frequent mistakes")
    for pair in confused_pairs(counts, names).head(WORST_PAIRS).to_dict("records"):
        yield Paragraph(
            f"{pair['count']:,} of {pair['n']:,} {names[pair['true']]} predicted as {names[pair['predicted']]} "
            f"({pair['rate']:.1%}, 95% interval {pair['low']:.1%} to {pair['high']:.1%})."
        )
        if photos:
            everyone = np.ones(len(predictions), bool)
            rows = cell_rows(predictions, everyone, pair["true"], pair["predicted"], PHOTOS_A_PAIR)
            yield from _thumbnails(rows, photos)
    yield Heading("Calibration")
    reliability = reliability_table(predictions.confidence, predictions.correct)
    yield Chart(charts.calibration(reliability), "Accuracy against confidence")
    error = training.metrics.test.calibration_error
    if error:
        yield Paragraph(f"Calibration error (ECE, {error.bins} bins) {error.after:.1%} after temperature scaling.")


def _classes(table: pd.DataFrame) -> Table:
    def rate(row: dict[str, float], name: str) -> str:
        if np.isnan(row[name]):
            return "–"
        return f"{row[name]:.1%} ({100 * row[f'{name}_low']:.1f}–{100 * row[f'{name}_high']:.1f})"

    rows = [
        [row["class"], f"{row['support']:,}", rate(row, "precision"), rate(row, "recall"), _share(row["f1"], 1)]
        for row in table.to_dict("records")
    ]
    return Table(["Class", "n", "Precision (95% interval)", "Recall (95% interval)", "F1"], rows)


def _thumbnails(rows: pd.DataFrame, photos: PhotoFiles) -> Iterator[Block]:
    found = photos.read(list(rows["id"]))
    small = [(str(photo), _small(found[str(photo)])) for photo in rows["id"] if str(photo) in found]
    readable = [(photo, data) for photo, data in small if data]
    if readable:
        yield Photos([data for _, data in readable], [photo for photo, _ in readable])


def _small(data: bytes) -> bytes:
    try:
        image = decode_photo(data, at_least=THUMBNAIL).image.copy()
    except UnreadablePhoto:
        return b""
    image.thumbnail(THUMBNAIL)
    return jpeg(image, 80)


def _elsewhere(training: Training) -> Iterator[Block]:
    metrics = training.metrics
    for measured, title in ((metrics.phone.test, "Phone photos"), (metrics.worn.test, "Worn garments")):
        if measured is None or measured.allowed_set.value is None:
            continue
        share = measured.allowed_set
        yield Heading(title)
        yield Paragraph(
            f"{share.value:.1%} of {share.n:,} test photos are predicted as a class that their label allows "
            f"(95% interval {share.low:.1%} to {share.high:.1%})."
        )
        rows = [[row.label, ", ".join(row.allowed), f"{row.n:,}", _share(row.value, 1)] for row in measured.labels]
        yield Table(["Label", "Allowed classes", "n", "Correct"], rows)


def _against_published(training: Training, published: Training) -> Iterator[Block]:
    yield Heading("Comparison with the published run")
    rows = [
        [name, _share(run.best_accuracy, 2), _test_accuracy(run), words.duration(run.seconds)]
        for name, run in history.shown_by_name([published, training])
    ]
    yield Table(["Run", "Best validation", "Test", "Training time"], rows)
    if comparison := words.against_published(training, published):
        yield Paragraph(comparison)


def _test_accuracy(training: Training) -> str:
    test = training.test_accuracy
    return (test.as_published or "–") if test.value is None else _share(test.value, 2)


def _epochs(training: Training) -> Iterator[Block]:
    known = [name for name in EPOCH_COLUMNS if training.knows(name)]
    if len(training.epochs):
        yield Heading("Epochs")
        yield _table(pd.DataFrame(training.epochs[known]))


def _photos(training: Training) -> Iterator[Block]:
    yield Heading("Photos")
    for sentence in words.data_in_words(training.data):
        yield Paragraph(sentence)
    classes = history.classes_table(training)
    if len(classes):
        yield _table(classes)
    for problem in training.data.problems:
        yield Paragraph(str(problem), "small")


def _settings(training: Training) -> Iterator[Block]:
    settings = history.settings_table([training]).drop(columns="differs")
    if len(settings):
        yield Heading("Settings")
        yield Table(["Setting", "Value"], settings.astype(str).to_numpy().tolist())


def _share(value: float | None, decimals: int) -> str:
    return "–" if value is None or pd.isna(value) else f"{value:.{decimals}%}"


def _table(table: pd.DataFrame) -> Table:
    """A table as text, without the columns nobody knows anything of."""
    shown = table.dropna(axis="columns", how="all")
    columns = [[_cell(value, str(name)) for value in shown[name]] for name in shown.columns]
    return Table(
        [words.HEADINGS.get(str(name), str(name)) for name in shown.columns],
        [list(row) for row in zip(*columns, strict=True)],
    )


def _cell(value: object, column: str) -> str:
    if isinstance(value, str):
        return value
    number = float(value)  # type: ignore[arg-type]
    if np.isnan(number):
        return "–"
    if column == "gain":
        return f"{100 * number:+.2f}"
    if column in TWO_DECIMALS:
        return f"{number:.2%}"
    if column in WHOLE or number == round(number) and abs(number) < 1e9:
        return f"{number:,.0f}"
    return f"{number:.4g}"


STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1c2430; background: #fff; max-width: 900px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.7rem; margin-bottom: 0; } h2 { font-size: 1.2rem; margin-top: 2rem; break-after: avoid; }
.lead { font-size: 1.15rem; } .small { color: #5a6472; font-size: 0.85rem; } .scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 11px; } td, th { border: 1px solid #d8dee8; padding: 3px 6px; text-align: left; }
thead { display: table-header-group; } figure { margin: 1rem 0; break-inside: avoid; } tr { break-inside: avoid; }
svg { max-width: 100%; height: auto; } .photos { display: flex; flex-wrap: wrap; gap: 8px; break-inside: avoid; }
.photos figure { margin: 0; font-size: 11px; text-align: center; } .photos img { display: block; max-height: 128px; }
@page { size: A4; margin: 15mm; } @media print { body { margin: 0; padding: 0; max-width: none; } .scroll { overflow: visible; }
table { font-size: 7.5px; width: 100%; } td, th { padding: 1px 2px; } td:last-child { overflow-wrap: anywhere; } }
"""


def html_report(blocks: list[Block]) -> str:
    """The report as one HTML page that needs nothing else. Text is escaped."""
    title = next((block.text for block in blocks if isinstance(block, Heading)), "")
    body = "\n".join(_html(block, "h1" if block is blocks[0] else "h2") for block in blocks)
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    return f'<!doctype html><html lang="en"><head>{head}<style>{STYLE}</style></head><body>{body}</body></html>'


def _html(block: Block, heading: str) -> str:
    if isinstance(block, Heading):
        return f"<{heading}>{escape(block.text)}</{heading}>"
    if isinstance(block, Paragraph):
        return f'<p class="{block.style}">{escape(block.text)}</p>'
    if isinstance(block, Chart):
        return f'<figure role="img" aria-label="{escape(block.alt)}">{block.svg}</figure>'
    if isinstance(block, Photos):
        pictures = zip(block.jpegs, block.captions, strict=True)
        figures = "".join(
            f'<figure><img src="data:image/jpeg;base64,{base64.b64encode(data).decode()}" alt="Photo {escape(caption)}">'
            f"{escape(caption)}</figure>"
            for data, caption in pictures
        )
        return f'<div class="photos">{figures}</div>'
    head = "".join(f"<th>{escape(text)}</th>" for text in block.headings)
    rows = "".join("<tr>" + "".join(f"<td>{escape(text)}</td>" for text in row) + "</tr>" for row in block.rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
