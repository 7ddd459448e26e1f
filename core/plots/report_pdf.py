"""The report as PDF on A4, by fpdf2 without a browser. Tables break between rows and repeat their headings."""

from __future__ import annotations

import re
from io import BytesIO
from pathlib import Path

import matplotlib
from fpdf import FPDF
from fpdf.enums import TableCellFillMode
from fpdf.fonts import FontFace

from core.plots.report import Block, Chart, Heading, Paragraph, Photos, Table

MARGIN, BOTTOM = 15, 18  # millimetres
FONT = "DejaVu"  # comes with matplotlib and has the letters of most languages
SIZES = {"": 10, "lead": 12, "small": 8}
INK, NOTE, LINE = (28, 36, 48), (90, 100, 114), (216, 222, 232)
MANY_COLUMNS = 9  # from so many on a table is set smaller
BELOW_HEADING = 45  # millimetres that follow a heading on its page, at least
BOLDER = 1.3  # letters of a bold heading, in widths of one of the text
PHOTO_HEIGHT, PHOTO_WIDTH = 30, 27  # millimetres


class _Page(FPDF):
    """A4 with page numbers."""

    def footer(self) -> None:
        self.set_y(-12)
        self.set_font(FONT, size=7)
        self.set_text_color(*NOTE)
        self.cell(0, 6, f"{self.page_no()} / {{nb}}", align="R")


def pdf_report(blocks: list[Block]) -> bytes:
    """The report as a PDF file."""
    page = _Page(format="A4")
    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    page.add_font(FONT, "", fonts / "DejaVuSans.ttf")
    page.add_font(FONT, "B", fonts / "DejaVuSans-Bold.ttf")
    page.set_margins(MARGIN, MARGIN)
    page.set_auto_page_break(True, BOTTOM)
    page.add_page()
    for number, (block, following) in enumerate(zip(blocks, [*blocks[1:], None], strict=True)):
        page.set_text_color(*INK)
        _add(page, block, following, first=number == 0)
    return bytes(page.output())


def _add(page: FPDF, block: Block, following: Block | None, first: bool) -> None:
    if isinstance(block, Heading):
        _heading(page, block.text, 16 if first else 12, following)
    elif isinstance(block, Paragraph):
        page.set_font(FONT, size=SIZES[block.style])
        page.set_text_color(*(NOTE if block.style == "small" else INK))
        page.multi_cell(0, SIZES[block.style] * 0.5, block.text, new_x="LMARGIN", new_y="NEXT")
        page.ln(1.5)
    elif isinstance(block, Chart):
        page.image(BytesIO(block.svg.encode()), w=page.epw, alt_text=block.alt)
        page.ln(2)
    elif isinstance(block, Photos):
        _photos(page, block)
    else:
        _table(page, block)


def _heading(page: FPDF, text: str, size: int, following: Block | None) -> None:
    """A heading on the page of what follows, or of its beginning."""
    needed = size + _chart_height(page, following) if isinstance(following, Chart) else BELOW_HEADING
    if page.will_page_break(needed):
        page.add_page()
    page.ln(0 if size > 12 else 4)
    page.set_font(FONT, "B", size)
    page.multi_cell(0, size * 0.5, text, new_x="LMARGIN", new_y="NEXT")
    page.ln(1.5)


def _chart_height(page: FPDF, chart: Chart) -> float:
    """Millimetres of a chart as wide as the text."""
    box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', chart.svg)
    return page.epw * float(box[2]) / float(box[1]) if box else BELOW_HEADING


def _photos(page: FPDF, block: Photos) -> None:
    if page.will_page_break(PHOTO_HEIGHT + 6):
        page.add_page()
    top = page.get_y()
    page.set_font(FONT, size=6)
    for place, (data, caption) in enumerate(zip(block.jpegs, block.captions, strict=True)):
        left = page.l_margin + place * (PHOTO_WIDTH + 2)
        page.image(BytesIO(data), x=left, y=top, w=PHOTO_WIDTH, h=PHOTO_HEIGHT, keep_aspect_ratio=True)
        page.set_xy(left, top + PHOTO_HEIGHT)
        page.cell(PHOTO_WIDTH, 4, caption, align="C")
    page.set_xy(page.l_margin, top + PHOTO_HEIGHT + 6)


def _table(page: FPDF, block: Table) -> None:
    page.set_font(FONT, size=5.5 if len(block.headings) >= MANY_COLUMNS else 7.5)
    page.set_draw_color(*LINE)
    columns = zip(block.headings, *block.rows, strict=True)
    with page.table(
        col_widths=tuple(_width(column) for column in columns),
        headings_style=FontFace(emphasis="BOLD", fill_color=(243, 245, 249)),
        cell_fill_mode=TableCellFillMode.NONE,
        line_height=page.font_size * 1.5,
        text_align="LEFT",
        padding=0.6,
    ) as table:
        for cells in (block.headings, *block.rows):
            row = table.row()
            for text in cells:
                row.cell(text)
    page.ln(2)


def _width(column: tuple[str, ...]) -> float:
    """Of a column, in letters: its longest text, as far as it needs no second line, and the longest word of its heading."""
    heading = max((len(word) for word in column[0].split()), default=0)
    return max(min(max(map(len, column)), 40), BOLDER * heading) + 1.5  # its padding
