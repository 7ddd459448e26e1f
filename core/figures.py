"""Charts of one answer."""

from __future__ import annotations

import plotly.graph_objects as go

from core.labels import LabelSet
from core.palette import group_colour

BAR_HEIGHT = 26


def probability_bars(ranking: list[tuple[str, float]], labels: LabelSet, in_scope: bool = True) -> go.Figure:
    """Horizontal bars of class probabilities, the most probable on top, coloured by group; faded where the photo is out of scope."""
    names = [name for name, _ in reversed(ranking)]
    values = [probability for _, probability in reversed(ranking)]
    bars = go.Bar(
        x=values,
        y=names,
        orientation="h",
        marker_color=[group_colour(labels.group_of(name)) for name in names],
        opacity=1 if in_scope else 0.4,
        text=[f"{value:.1%}" for value in values],
        textposition="outside",
        cliponaxis=False,
        hovertemplate="%{y}: %{x:.2%}<extra></extra>",
    )
    figure = go.Figure(bars)
    figure.update_xaxes(range=[0, 1.32], visible=False, fixedrange=True)
    figure.update_yaxes(fixedrange=True, ticksuffix=" ", showgrid=False)
    figure.update_layout(
        height=BAR_HEIGHT * len(names) + 16, margin={"l": 0, "r": 0, "t": 4, "b": 4}, bargap=0.3, showlegend=False
    )
    return figure
