"""Charts, tables and downloads as all parts of the training history page show them."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from core.analysis.glossary import TERMS
from core.analysis.text import HEADINGS, p_value

PICTURES = {"SVG": {"format": "svg"}, "PNG": {"format": "png", "scale": 3}}  # formats in which a chart is saved
ACCURACIES = (
    "best_validation", "best_low", "best_high", "test_accuracy", "test_low", "test_high", "final_train", "final_validation",
    "train_accuracy", "val_accuracy", "val_phone_accuracy", "val_worn_accuracy",
)  # fmt: skip
NUMBERS = {
    "lr": "scientific",
    "peak_lr": "scientific",
    "update_to_weight": "scientific",
    "trainable_parameters": "localized",
    "images": "localized",
    "train_loss": "%.3f",
    "val_loss": "%.3f",
    "val_macro_f1": "%.3f",
    "busy_cores": "%.2f",
    "energy_wh": "%.1f",
    "peak_memory_mib": "%.0f",
    "seconds": "%.0f",
    "images_per_second": "%.1f",
    "hours": "%.2f",
    "minutes": "%.1f",
}
WIDTHS = {  # pixels, so that the table of stages fits beside the sidebar of a laptop
    "stage": 58, "name": 112, "input": 72, "epochs": 68, "best_validation": 112, "final_train": 106, "final_validation": 116, "gain": 70,
    "became_correct": 76, "became_incorrect": 64, "p": 72, "minutes": 76, "n": 56, "product": 190, "label": 96, "before": 96, "after": 96,
}  # fmt: skip
GAINS = ("gain", "gain_low", "gain_high")  # shown in points
HELP = {
    "train_loss": TERMS["Loss"],
    "val_loss": TERMS["Loss"],
    "val_macro_f1": TERMS["Macro-F1"],
    "test_low": "95% confidence interval of the test accuracy; of a published run as published.",
    "gain": "Points of best validation accuracy above the best of all stages before.",
    "images_per_second": "Training photos per second of training.",
    "became_correct": "Validation photos that became correct with the stage.",
    "became_incorrect": "Validation photos that became incorrect with the stage.",
    "p": "McNemar's exact test on the validation photos against the stage before; below 0.05 the difference is significant.",
    "update_to_weight": "Norm of the last update over the norm of the weights; about 1e-3 is usual.",
}


def chart(figure: Any, name: str, alt: str) -> None:
    """A chart that is saved in the format the visitor chose."""
    picture = PICTURES[st.session_state.get("picture") or "SVG"]
    config = {"displaylogo": False, "toImageButtonOptions": {**picture, "filename": name}}
    st.plotly_chart(figure, key=f"{name}-chart", alt=alt, config=config)


def csv_button(label: str, table: pd.DataFrame, name: str) -> None:
    """A download of a table."""
    st.download_button(
        label,
        lambda: table.to_csv(index=False),
        f"{name}.csv",
        "text/csv",
        key=f"{name}-csv",
        icon=":material/table:",
        on_click="ignore",
    )


def table(rows: pd.DataFrame | Any, columns: list[str], **more: Any) -> Any:
    """A table with the product's headings, as wide as what it holds; `more` are settings of columns, and of the table as `options`."""
    options: dict[str, Any] = {"width": "content"} | more.pop("options", {})
    settings: dict[str, Any] = {name: HEADINGS.get(name, name) for name in columns}
    for name in columns:
        style = "%.2f%%" if name in ACCURACIES else "%+.2f" if name in GAINS else NUMBERS.get(name)
        heading, width, explanation = HEADINGS.get(name, name), WIDTHS.get(name), HELP.get(name)
        if style:
            settings[name] = st.column_config.NumberColumn(heading, width=width, format=style, help=explanation)
        elif width or explanation:
            settings[name] = st.column_config.Column(heading, width=width, help=explanation)
    if isinstance(rows, pd.DataFrame):
        rows = rows.assign(**{name: 100 * rows[name] for name in (*ACCURACIES, *GAINS) if name in rows})
        rows = rows.assign(p=rows["p"].map(p_value)) if "p" in rows else rows
    return st.dataframe(
        rows,
        hide_index=True,
        column_order=columns,
        column_config=settings | more,
        placeholder="–",
        **options,
    )
