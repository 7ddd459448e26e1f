"""The classify page's most similar products: what the network has seen that looks to it like this photo."""

from __future__ import annotations

from html import escape

import pandas as pd
import streamlit as st

from core.artifacts.neighbours import INDEX_FILE, Neighbours
from core.artifacts.run import Run
from core.errors import BrokenRun, InvalidData
from core.images.dataset import catalogue_path
from core.inference.classifier import Reading
from core.ui.markdown import told
from core.ui.thumbnails import catalogue, thumbnail_url

STRIP = (
    '<div role="list" aria-label="Most similar training products" '
    'style="display:grid;grid-template-columns:repeat(auto-fit,minmax(4.8rem,1fr));gap:0.6rem">{items}</div>'
)
ITEM = (
    '<div role="listitem" class="neighbour" title="{product} (id {id}), similarity {similarity:.2f}" '
    'style="overflow-wrap:anywhere;font-size:0.75rem;line-height:1.3">{picture}<b>{label}</b><br>{product}<br>'
    '<span style="opacity:0.7">id {id}</span></div>'
)
PICTURE = '<img src="{url}" alt="" style="height:5rem;display:block;border-radius:0.3rem;margin-bottom:0.2rem">'


def nearest(run: Run, reading: Reading) -> None:
    """The most similar training products, with their photos where the data set is on this machine."""
    index, why_not = _index_of(run)
    if index is None:
        st.caption(why_not)
        return
    rows = index.nearest(reading.pooled)
    st.caption("Most similar training photos, as the network sees them")
    st.html(strip(rows, _thumbnails(rows["id"].tolist())))


def _index_of(run: Run) -> tuple[Neighbours | None, str]:
    """A run's index, or in words why there is none."""
    try:
        index = _index(run, str(run.folder), run.facts.files.get(INDEX_FILE, ""))
        return index, "This run has no index of similar photos."
    except BrokenRun as error:
        return None, f":material/warning: Similar photos cannot be shown. {told(error)}"


@st.cache_resource(max_entries=2, show_spinner=False)
def _index(_run: Run, folder: str, sha256: str) -> Neighbours | None:
    return Neighbours.load(_run)


def _thumbnails(ids: list[int]) -> dict[int, str]:
    """Data URLs of the photos that are here, by id."""
    try:
        path = catalogue_path()
        found = catalogue(path).read(ids) if path else {}
    except InvalidData as error:
        st.caption(f":material/warning: {told(error)}")
        return {}
    urls = {photo: thumbnail_url(found.get(str(photo))) for photo in ids}
    return {photo: url for photo, url in urls.items() if url}


def strip(rows: pd.DataFrame, thumbnails: dict[int, str]) -> str:
    """Products in a row, as HTML.

    Args:
        rows: of `core.artifacts.neighbours.Neighbours.nearest`.
        thumbnails: data URLs by id, of those that have one.
    """
    items = [
        ITEM.format(
            id=row["id"],
            label=escape(str(row["label"])),
            product=escape(str(row["product"]) if pd.notna(row["product"]) else "No name"),
            similarity=row["similarity"],
            picture=PICTURE.format(url=thumbnails[row["id"]]) if row["id"] in thumbnails else "",
        )
        for row in rows.to_dict("records")
    ]
    return STRIP.format(items="".join(items))
