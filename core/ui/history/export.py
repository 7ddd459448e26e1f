"""Exports of the training history page: the report as HTML and PDF, tables as CSV, and the format of charts."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.artifacts.training import Training
from core.errors import InvalidData
from core.images.dataset import PhotoFiles, catalogue_path, catalogue_photos
from core.ui.choice import one_of
from core.ui.history.widgets import PICTURES, csv_button


def export(parts: list[Training], found: list[Training], stages: pd.DataFrame) -> None:
    """What can be exported of a training, the last of the parts; the others are those it continued from."""
    training = parts[-1]
    with st.popover("Export", icon=":material/download:"):
        for kind, mime in (("PDF", "application/pdf"), ("HTML", "text/html")):
            st.download_button(
                f"Report ({kind})",
                lambda kind=kind: _report(parts, found, kind),
                f"{training.run_id}.{kind.lower()}",
                mime,
                key=f"report-{kind}",
                icon=":material/description:",
                on_click="ignore",
                help="Curves, stages, matrix, classes, confused pairs, calibration and settings of the first run.",
            )
        csv_button("Epochs (CSV)", training.epochs, f"{training.run_id} epochs")
        csv_button("Stages (CSV)", stages, f"{training.run_id} stages")
        one_of("Format of charts", list(PICTURES), "SVG", "picture", help="Save a chart with the camera in its corner.")


def _report(parts: list[Training], found: list[Training], kind: str) -> str | bytes:
    """The report as a file; made when it is asked for, since matplotlib takes a second to load."""
    from core.plots.report import html_report, report
    from core.plots.report_pdf import pdf_report

    published = next((other for other in found if other.is_published), None)
    blocks = report(parts[-1], published, _photos(), parts[:-1])
    return html_report(blocks) if kind == "HTML" else pdf_report(blocks)


def _photos() -> PhotoFiles | None:
    try:
        path = catalogue_path()
        return catalogue_photos(path) if path else None
    except InvalidData:  # the page says so where it shows photos
        return None
