"""The last page of the tour: the address of the dashboard as a QR code."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

import qrcode
import streamlit as st
from qrcode.image.svg import SvgPathFillImage

from core.ui import shell
from core.ui.photo_field import LOCAL

WIDTH = 380  # points of the code


def page() -> None:
    """The code, and the address to type where there is no camera."""
    shell.page("On your phone")
    with shell.errors_shown():
        address = home_of(st.context.url or "")
        with st.container(horizontal_alignment="center", gap="medium"):
            st.title("Try it on your phone", anchor=False, text_alignment="center")
            if not address:
                st.info("The browser did not send the address of this page. Copy it from the address bar.")
                return
            st.image(code(address), width=WIDTH, alt=f"QR code of {address}")
            st.markdown(f"### [{address}]({address})", text_alignment="center")
            if is_local(address):
                st.warning(
                    "This address works on this computer only. Start the server with `--server.address 0.0.0.0` and open this page "
                    "by the computer's name or IP address; phones in the same network can then reach it.",
                    icon=":material/wifi_off:",
                    width=640,
                )


def home_of(address: str) -> str:
    """The address of the first page, from that of any page; empty if there is none."""
    parts = urlsplit(address)
    folder = parts.path.rpartition("/")[0]
    return urlunsplit((parts.scheme, parts.netloc, f"{folder}/", "", "")) if parts.netloc else ""


def is_local(address: str) -> bool:
    """Whether only this computer reaches an address."""
    return urlsplit(address).hostname in LOCAL


@st.cache_data(max_entries=16, show_spinner=False)
def code(address: str) -> str:
    """An address as QR code, SVG, black on white."""
    return qrcode.make(address, image_factory=SvgPathFillImage, error_correction=qrcode.ERROR_CORRECT_M).to_string(
        encoding="unicode"
    )
