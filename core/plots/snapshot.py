"""The classify page's view as one picture to take away: photo with boxes, and an answer with bars and heat map for each region."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image, ImageColor, ImageDraw, ImageFont

from core.artifacts.labels import OUT_OF_SCOPE, LabelSet
from core.images.region import Region
from core.inference.classifier import Answer
from core.plots.bars import FADED, rounded
from core.plots.palette import NOTE, group_colour

INK, PAPER = "#1c2430", "#ffffff"
PHOTO = (640, 860)  # largest size of the photo in the snapshot, in pixels
CARD_WIDTH, CARD_HEIGHT, HEAT_WIDTH, MARGIN, BAR_ROW = 620, 260, 160, 24, 26
CARD_HEAD = 62  # above a card's bars
NAME_WIDTH, BAR_WIDTH, SWATCH = 120, 200, 10


@dataclass(frozen=True)
class Card:
    """One region's answer as the page shows it.

    Args:
        name: such as `Region 1`.
        colour: of its box; None for the whole photo.
        region: in pixels of the photo; None for the whole of it.
        answer: its ranking and verdict.
        picture: with the heat map, as shown.
    """

    name: str
    colour: str | None
    region: Region | None
    answer: Answer
    picture: Image.Image


def snapshot(
    photo: Image.Image, size: tuple[int, int], cards: list[Card], labels: LabelSet, footer: str
) -> Image.Image:
    """Draw the view.

    Args:
        photo: RGB, at any scale.
        size: (width, height) of the photo in full, which the regions refer to.
        cards: in the order shown.
        labels: for the colours of the groups.
        footer: model, date and the like.

    Returns:
        RGB; as high as the photo or the cards need.
    """
    shown = photo.copy()
    shown.thumbnail(PHOTO)
    for card in cards:
        if card.region and card.colour:
            ImageDraw.Draw(shown).rectangle(card.region.box_in(shown.size, size), outline=card.colour, width=4)
    card_height = max([CARD_HEIGHT, *(CARD_HEAD + BAR_ROW * len(card.answer.ranking) + MARGIN for card in cards)])
    height = 2 * MARGIN + max(shown.height, len(cards) * card_height) + MARGIN
    sheet = Image.new("RGB", (3 * MARGIN + PHOTO[0] + CARD_WIDTH, height), PAPER)
    sheet.paste(shown, (MARGIN, MARGIN))
    for row, card in enumerate(cards):
        _draw_card(sheet, card, labels, MARGIN + row * card_height)
    ImageDraw.Draw(sheet).text((MARGIN, height - MARGIN - 4), footer, fill=NOTE, font=_font(14))
    return sheet


def _draw_card(sheet: Image.Image, card: Card, labels: LabelSet, top: int) -> None:
    draw = ImageDraw.Draw(sheet)
    left = 2 * MARGIN + PHOTO[0]
    if card.colour:
        draw.rectangle((left, top + 3, left + SWATCH, top + 3 + SWATCH), fill=card.colour)
    draw.text((left + (2 * SWATCH if card.colour else 0), top), card.name, fill=NOTE, font=_font(15))
    verdict = f"{card.answer.label}, {rounded(card.answer.probability)}"
    if not card.answer.in_scope:
        verdict = f"{OUT_OF_SCOPE} (nearest: {verdict})"
    draw.text((left, top + 20), verdict, fill=INK, font=_font(24))
    picture = card.picture.copy()
    picture.thumbnail((HEAT_WIDTH, CARD_HEIGHT - 70))
    sheet.paste(picture, (left, top + 58))
    _draw_bars(draw, card.answer, labels, (left + HEAT_WIDTH + MARGIN, top + CARD_HEAD))


def _draw_bars(draw: ImageDraw.ImageDraw, answer: Answer, labels: LabelSet, corner: tuple[int, int]) -> None:
    for row, (name, probability) in enumerate(answer.ranking):
        x, y = corner[0], corner[1] + row * BAR_ROW
        draw.text((x, y), name, fill=INK, font=_font(15))
        end = x + NAME_WIDTH + max(1, round(BAR_WIDTH * probability))
        draw.rectangle((x + NAME_WIDTH, y, end, y + 16), fill=_bar_colour(labels.group_of(name), answer.in_scope))
        draw.text((end + 6, y), f"{probability:.1%}", fill=INK, font=_font(15))


def _bar_colour(group: str, in_scope: bool) -> tuple[int, ...]:
    """As on the page: pale where the photo is out of scope."""
    colour, paper = ImageColor.getrgb(group_colour(group)), ImageColor.getrgb(PAPER)
    share = 1.0 if in_scope else FADED
    return tuple(round(share * c + (1 - share) * p) for c, p in zip(colour, paper, strict=True))


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
