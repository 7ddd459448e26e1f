"""The classify page's view as one picture: the photo in large with boxes, labels and heat map, and beside it the predictions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont

from core.artifacts.labels import ALL, OUT_OF_SCOPE, LabelSet
from core.images.outline import Outline
from core.images.region import Region
from core.inference.attributes import in_words
from core.inference.classifier import Answer
from core.inference.verdict import Verdict, class_name, verdict
from core.plots.bars import FADED
from core.plots.heatmap import colours, contour, contrast_contour, contrast_overlay, muted, overlay
from core.plots.palette import NOTE, group_colour

INK, PAPER, RULE = "#1c2430", "#ffffff", "#d8dee8"
PHOTO = (1200, 1300)  # largest size of the photo, in pixels; smaller ones are enlarged to it
MARGIN, PANEL = 32, 420
BAR_ROW, BAR_NAME, BAR_VALUE = 32, 130, 70
ROW = 34  # of a box that is not selected
LINE = 4  # width of a box's line; one more on either side is dark or white, so that it reads on any cloth


@dataclass(frozen=True)
class Card:
    """A box, or the whole photo, with its prediction.

    Args:
        name: such as `Box 1`.
        number: on its label.
        colour: of its box; None for the whole photo.
        region: in pixels of the photo; None for the whole of it.
        answer: its ranking and verdict.
        outline: corners of the garment in pixels of the photo, where they are known.
    """

    name: str
    number: int
    colour: str | None
    region: Region | None
    answer: Answer
    outline: Outline | None = None


@dataclass(frozen=True)
class HeatView:
    """A heat map as the page shows it.

    Args:
        values: gives it at a size (width, height), as an array (height, width).
        name: class explained.
        against: class it is compared with; the map is a difference then.
        opacity: in [0, 1].
        lines: whether contour lines are drawn instead of an overlay.
    """

    values: Callable[[tuple[int, int]], np.ndarray]
    name: str
    against: str | None
    opacity: float
    lines: bool


def snapshot(
    photo: Image.Image,
    size: tuple[int, int],
    cards: list[Card],
    selected: Card,
    heat: HeatView | None,
    labels: LabelSet,
    footer: str,
    group: str = ALL,
) -> Image.Image:
    """Draw the view.

    Args:
        photo: RGB, at any scale.
        size: (width, height) of the photo in full, which the regions refer to.
        cards: the whole photo, then its boxes.
        selected: the one whose bars and heat map are shown.
        heat: its heat map; None where it is hidden.
        labels: the network's classes.
        footer: model, date and the like.
        group: the filter the predictions were made under.

    Returns:
        RGB; as high as the photo or the text beside it needs.
    """
    shown = _picture(photo, size, cards, selected, heat, len(labels), group)
    others = [card for card in cards if card is not selected]
    text = 150 + BAR_ROW * len(selected.answer.ranking) + (80 if heat else 0) + ROW * (len(others) + 2)
    sheet = Image.new(
        "RGB", (3 * MARGIN + shown.width + PANEL, 2 * MARGIN + max(shown.height, text) + MARGIN + 8), PAPER
    )
    sheet.paste(shown, (MARGIN, MARGIN))
    draw = ImageDraw.Draw(sheet)
    left = 2 * MARGIN + shown.width
    y = _verdict(draw, selected, (left, MARGIN), len(labels), group)
    y = _bars(draw, selected.answer, labels, (left, y))
    if heat:
        y = _legend(sheet, draw, heat, (left, y + 18))
    _list(draw, others, (left, y + 24), len(labels), group)
    draw.text((MARGIN, sheet.height - MARGIN - 4), footer, fill=NOTE, font=_font(16))
    return sheet


def _picture(
    photo: Image.Image,
    size: tuple[int, int],
    cards: list[Card],
    selected: Card,
    heat: HeatView | None,
    n_classes: int,
    group: str,
) -> Image.Image:
    """The photo with the heat map, boxes and labels on it."""
    scale = min(PHOTO[0] / size[0], PHOTO[1] / size[1])
    shown = photo.resize((max(1, round(size[0] * scale)), max(1, round(size[1] * scale))), Image.Resampling.LANCZOS)
    if heat:
        shown = _heated(shown, size, selected, heat)
    boxed = [card for card in cards if card.region]
    for card in sorted(boxed, key=lambda card: card is selected):
        _box(shown, size, card, card is selected)
    for card in boxed:
        _label(shown, size, card, verdict(card.answer, n_classes, group))
    return shown


def _heated(shown: Image.Image, size: tuple[int, int], selected: Card, heat: HeatView) -> Image.Image:
    box = selected.region.box_in(shown.size, size) if selected.region else (0, 0, *shown.size)
    whole = shown if heat.lines else muted(shown)
    part = whole.crop(box)
    plain, difference = (contour, contrast_contour) if heat.lines else (overlay, contrast_overlay)
    draw = plain if heat.against is None else difference
    whole.paste(draw(part, heat.values(part.size), heat.opacity), box[:2])
    return whole


def _box(shown: Image.Image, size: tuple[int, int], card: Card, chosen: bool) -> None:
    assert card.region is not None and card.colour is not None
    draw, box = ImageDraw.Draw(shown), card.region.box_in(shown.size, size)
    halo = PAPER if chosen else INK
    if card.outline:
        x, y = shown.width / size[0], shown.height / size[1]
        corners = [(a * x, b * y) for a, b in (*card.outline, card.outline[0])]
        draw.line(corners, fill=halo, width=LINE + 4, joint="curve")
        draw.line(corners, fill=card.colour, width=LINE, joint="curve")
        return
    left, top, right, bottom = box
    around = (max(0, left - 1), max(0, top - 1), min(right, shown.width - 1), min(bottom, shown.height - 1))
    draw.rectangle(around, outline=halo, width=LINE + 2)
    draw.rectangle((left, top, right - 1, bottom - 1), outline=card.colour, width=LINE)


def _label(shown: Image.Image, size: tuple[int, int], card: Card, words: Verdict) -> None:
    assert card.region is not None and card.colour is not None
    draw, font = ImageDraw.Draw(shown), _font(22)
    text = f"{card.number} {words.short if card.answer.in_scope else OUT_OF_SCOPE}"
    seen = card.outline or [(card.region.left, card.region.top)]  # an outline may be much smaller than its box
    left = round(min(x for x, _ in seen) * shown.width / size[0])
    top = round(min(y for _, y in seen) * shown.height / size[1])
    _, _, width, height = draw.textbbox((0, 0), text, font=font)
    width, height = round(width) + 16, round(height) + 12
    x, y = max(0, min(left, shown.width - width)), top - height if top >= height else top
    dark = tuple(round(0.62 * c) for c in ImageColor.getrgb(card.colour)[:3])
    draw.rounded_rectangle((x, y, x + width, y + height), 6, fill=dark)
    draw.text((x + 8, y + 4), text, fill=PAPER, font=font)


def _verdict(draw: ImageDraw.ImageDraw, card: Card, corner: tuple[int, int], n_classes: int, group: str) -> int:
    """The selected box in words; returns where what follows may begin."""
    words = verdict(card.answer, n_classes, group)
    x, y = corner
    if card.colour:
        draw.rounded_rectangle((x, y + 4, x + 14, y + 18), 3, fill=card.colour)
    draw.text((x + (22 if card.colour else 0), y), card.name, fill=NOTE, font=_font(18))
    y += 28
    for line in _wrapped(draw, words.short, _font(34), PANEL):
        draw.text((x, y), line, fill=INK, font=_font(34))
        y += 42
    for sentence in (words.confidence, in_words(card.answer.attributes), words.note):
        for line in _wrapped(draw, sentence, _font(18), PANEL):
            draw.text((x, y), line, fill=NOTE, font=_font(18))
            y += 25
    return y + 16


def _wrapped(draw: ImageDraw.ImageDraw, text: str, font: Font, width: int) -> list[str]:
    """Lines of text that fit a width."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and draw.textlength(longer, font=font) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _bars(draw: ImageDraw.ImageDraw, answer: Answer, labels: LabelSet, corner: tuple[int, int]) -> int:
    """A bar for each class listed; returns where they end."""
    x, y = corner
    room = PANEL - BAR_NAME - BAR_VALUE
    for name, probability in answer.ranking:
        draw.text((x, y + 2), class_name(name), fill=INK, font=_font(18))
        end = x + BAR_NAME + max(1, round(room * probability))
        draw.rectangle((x + BAR_NAME, y + 4, end, y + 22), fill=_bar_colour(labels.group_of(name), answer.in_scope))
        draw.text((x + PANEL, y + 2), f"{probability:.1%}", fill=INK, font=_font(18), anchor="ra")
        y += BAR_ROW
    return y


def _bar_colour(group: str, in_scope: bool) -> tuple[int, ...]:
    """As on the page: pale where the photo is out of scope."""
    colour, paper = ImageColor.getrgb(group_colour(group)), ImageColor.getrgb(PAPER)
    share = 1.0 if in_scope else FADED
    return tuple(round(share * c + (1 - share) * p) for c, p in zip(colour, paper, strict=True))


def _legend(sheet: Image.Image, draw: ImageDraw.ImageDraw, heat: HeatView, corner: tuple[int, int]) -> int:
    """The heat map's colours with the meaning of their ends; returns where they end."""
    x, y = corner
    name, against = class_name(heat.name), heat.against and class_name(heat.against)
    title = f"Heat map: evidence for {name}" + (f" against {against}" if against else "")
    draw.text((x, y), title, fill=NOTE, font=_font(18))
    scale = Image.fromarray(colours(against is not None)[None])
    sheet.paste(scale.resize((PANEL, 12)), (x, y + 28))
    draw.text((x, y + 46), against or "low", fill=NOTE, font=_font(16))
    draw.text((x + PANEL, y + 46), name if against else "high", fill=NOTE, font=_font(16), anchor="ra")
    return y + 70


def _list(draw: ImageDraw.ImageDraw, cards: list[Card], corner: tuple[int, int], n_classes: int, group: str) -> None:
    """The boxes that are not selected, a row each."""
    x, y = corner
    if cards:
        draw.line((x, y - 10, x + PANEL, y - 10), fill=RULE, width=2)
    for card in cards:
        words = verdict(card.answer, n_classes, group)
        if card.colour:
            draw.rounded_rectangle((x, y + 5, x + 14, y + 19), 3, fill=card.colour)
        draw.text((x + 22, y), f"{card.name}: {words.short}", fill=INK, font=_font(18))
        y += ROW


Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def _font(size: int) -> Font:
    return ImageFont.load_default(size)
