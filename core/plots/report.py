"""A training as one HTML file that works offline and prints well: sentences, charts, tables. Everything in it is escaped."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

import pandas as pd
import plotly.graph_objects as go

from core.analysis import history
from core.analysis import text as words
from core.artifacts.training import Training
from core.plots import history as figures

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1c2430; background: #fff; max-width: 960px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.7rem; margin-bottom: 0; } h2 { font-size: 1.2rem; margin-top: 2rem; break-after: avoid; }
.lead { font-size: 1.15rem; } .note { color: #5a6472; } .scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 12px; } td, th { border: 1px solid #d8dee8; padding: 3px 7px; text-align: left; }
figure { margin: 1rem 0; break-inside: avoid; } tr { break-inside: avoid; }
"""
PERCENTAGES = ("best_validation", "final_train", "final_validation", "gain", "train_accuracy", "val_accuracy")
CURVES_A_PAGE = 3  # fit on one when printed
WHOLE = ("trainable_parameters", "epoch", "stage", "images")
DERIVED = ["images_seen", "steps", "hours"]  # from the other columns, for the axes of charts


def html_report(training: Training) -> str:
    """The report of a training as an HTML page of about 5 MB, most of it the charting library."""
    title = escape(training.name)
    facts = [words.circumstances(training), *training.manifest.get("notes", [])]
    parts = [
        f"<h1>{title}</h1>",
        f"<p class=note>{escape(_identity(training))}</p>",
        f"<p class=lead>{escape(words.headline(training))}</p>",
        f"<p>{escape(_test_in_words(training))}</p>",
        f"<p class=note>{escape(' '.join(facts))}</p>",
        *(_charts(training) if training.best is not None else ()),
        "<h2>Epochs</h2>",
        _table(training.epochs.drop(columns=DERIVED)),
        "<h2>Settings</h2>",
        _table(history.settings_table([training]).drop(columns="differs")),
        "<h2>Photos</h2>",
        *(f"<p>{escape(sentence)}</p>" for sentence in words.data_in_words(training.data)),
        _table(history.classes_table(training)),
        *(f"<p class=note>{escape(str(problem))}</p>" for problem in training.data.get("problems", [])),
    ]
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title><style>{STYLE}</style>'
    body = "\n".join(parts)
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{body}</body></html>'


def _identity(training: Training) -> str:
    known = [training.run_id, training.manifest.get("created", "")[:10]]
    commit = training.manifest.get("git_commit")
    return " · ".join([fact for fact in known if fact] + ([f"commit {commit[:12]}"] if commit else []))


def _test_in_words(training: Training) -> str:
    test = training.test_accuracy
    if "value" in test:
        return f"Test accuracy {test['value']:.1%}, 95% interval {test['low']:.1%} to {test['high']:.1%}."
    return f"Test accuracy {test['as_published']}, as published." if "as_published" in test else "Not tested yet."


def _charts(training: Training) -> Iterator[str]:
    known = [curve for curve in figures.CURVES if figures.is_known([training], curve)]
    yield "<h2>Curves</h2>"
    for start in range(0, len(known), CURVES_A_PAGE):
        curves = known[start : start + CURVES_A_PAGE]
        yield _chart(figures.curves_figure([training], curves, "Epoch", 0.0, False), library=start == 0)
    stages = history.stage_table(training)
    yield "<h2>What each stage brought</h2>"
    yield _chart(figures.stages_figure(stages))
    yield _table(stages)
    yield f"<h2>Over- or underfitting?</h2><p>{escape(words.gap_in_words(training.epochs))}</p>"
    yield _chart(figures.gap_figure([training]))


def _chart(figure: go.Figure, library: bool = False) -> str:
    """A chart as HTML; the first one of a page brings the charting library."""
    figure.update_layout(template="plotly_white")
    config = {"displaylogo": False, "responsive": True}
    return f"<figure>{figure.to_html(full_html=False, include_plotlyjs=library, config=config)}</figure>"


def _table(table: pd.DataFrame) -> str:
    """A table as HTML, without the columns nobody knows anything of; empty if there are no rows."""
    shown = table.dropna(axis="columns", how="all").copy()
    if shown.empty:
        return ""
    for column in shown.columns.intersection(PERCENTAGES):
        shown[column] = shown[column].map("{:.2%}".format, na_action="ignore")
    for column in shown.columns.intersection(WHOLE):
        shown[column] = shown[column].map("{:,.0f}".format, na_action="ignore")
    shown = shown.rename(columns=words.HEADINGS)
    html = shown.to_html(index=False, escape=True, na_rep="not known", border=0, float_format="{:.4g}".format)
    return f'<div class="scroll">{html}</div>'
