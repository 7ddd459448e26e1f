"""Bars of an answer, as HTML: they stand at once, where a charting library would load first, and never move the page."""

from __future__ import annotations

from html import escape

from core.artifacts.labels import LabelSet
from core.inference.verdict import class_name, group_name
from core.plots.palette import group_colour

FADED = 0.4  # opacity of the bars of a photo that is out of scope

ROW = (
    '<div role="listitem" style="display:flex;align-items:center;gap:0.5rem;font-size:0.85rem;line-height:1.7">'
    '<span class="bar-name" style="flex:0 0 5.3rem;text-align:right">{name}</span>'
    '<span style="flex:1;display:flex;align-items:center;gap:0.4rem;min-width:0">'
    '<span style="width:calc((100% - 3.2rem) * {share:.4f});min-width:2px;height:1.05rem;background:{colour};opacity:{opacity}"></span>'
    '<span class="bar-value">{value}</span></span></div>'
)
LEGEND = '<div style="display:flex;flex-wrap:wrap;justify-content:flex-end;gap:0 0.8rem;margin-top:0.3rem;font-size:0.75rem">{groups}</div>'
LEGEND_GROUP = '<span><span aria-hidden="true" style="color:{colour}">■</span> {group}</span>'


def probability_bars(ranking: list[tuple[str, float]], labels: LabelSet, in_scope: bool = True) -> str:
    """Horizontal bars of class probabilities, the most probable on top, coloured by group, with a legend of the groups; faded where the
    photo is out of scope.

    Args:
        ranking: class names with probabilities in [0, 1].
        labels: for the colours of the groups.
        in_scope: whether the photo looks like one of the classes.
    """
    rows = [
        ROW.format(
            name=escape(class_name(name)),
            share=share,
            value=f"{share:.1%}",
            colour=group_colour(labels.group_of(name)),
            opacity=1 if in_scope else FADED,
        )
        for name, share in ranking
    ]
    return f'<div role="list" aria-label="Probabilities">{"".join(rows)}</div>{_legend(list(labels.groups))}'


def _legend(groups: list[str]) -> str:
    """Which colour is which group's; nothing where there is but one."""
    if len(groups) < 2:
        return ""
    entries = [LEGEND_GROUP.format(colour=group_colour(group), group=escape(group_name(group))) for group in groups]
    return LEGEND.format(groups="".join(entries))
