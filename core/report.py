"""A training as one HTML file that works offline and prints well: sentence, figures, charts, tables. Everything in it is escaped."""

from __future__ import annotations

from html import escape

import pandas as pd
import plotly.graph_objects as go

from core import figures_history as figures
from core import history
from core.history import Training

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1c2430; max-width: 960px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.7rem; } h2 { font-size: 1.2rem; margin-top: 2rem; break-after: avoid; }
table { border-collapse: collapse; font-size: 13px; } td, th { border: 1px solid #d8dee8; padding: 3px 8px; text-align: left; }
figure, table { break-inside: avoid; margin: 1rem 0; } .note { color: #5a6472; }
"""
PERCENTAGES = ("best_validation", "final_train", "final_validation", "gain", "train_accuracy", "val_accuracy")


def html_report(training: Training) -> str:
    """The report of a training as an HTML page of about 5 MB, most of it the charting library."""
    curves = [curve for curve in figures.CURVES if figures.is_known([training], curve)]
    sentence = escape(history.headline(training)).replace("**", "")
    parts = [
        f"<h1>{escape(training.name)}</h1>",
        f"<p>{sentence}</p>",
        *(f"<p class=note>{escape(note)}</p>" for note in training.manifest.get("notes", [])),
    ]
    if curves:
        parts += [
            "<h2>Curves</h2>",
            _chart(figures.curves_figure([training], curves, "Epoch", 0.0, False), library=True),
        ]
        parts += [
            "<h2>Stages</h2>",
            _chart(figures.stages_figure(history.stage_table(training))),
            _table(history.stage_table(training)),
        ]
        parts += [f"<h2>Over- or underfitting?</h2><p>{escape(history.gap_in_words(training.epochs))}</p>"]
        parts += [_chart(figures.gap_figure(training))]
    parts += ["<h2>Epochs</h2>", _table(training.epochs)]
    parts += ["<h2>Settings</h2>", _table(history.settings_table([training]).drop(columns="differs"))]
    if training.data.get("classes"):
        parts += ["<h2>Photos</h2>", _table(history.classes_table(training))]
    title = escape(training.name)
    body = "\n".join(parts)
    return f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style><body>{body}</body></html>'


def _chart(figure: go.Figure, library: bool = False) -> str:
    """A chart as HTML; the first one of a page brings the charting library."""
    figure.update_layout(template="plotly_white")
    return f"<figure>{figure.to_html(full_html=False, include_plotlyjs=library)}</figure>"


def _table(table: pd.DataFrame) -> str:
    shown = table.dropna(axis="columns", how="all").copy()
    for column in [name for name in PERCENTAGES if name in shown]:
        shown[column] = shown[column].map("{:.2%}".format, na_action="ignore")
    return shown.to_html(index=False, escape=True, na_rep="not known", border=0, float_format="{:.4g}".format)
