"""Pictures as bytes, and as addresses that hold them (RFC 2397), which are sent within the page itself.

Streamlit gives a picture an address of its own and forgets it for a moment whenever the page is drawn anew. A browser that asks for it just
then shows a broken picture, for good; and one that asks later leaves its place empty until then.
"""

from __future__ import annotations

import base64
import io

from PIL import Image


def jpeg(image: Image.Image, quality: int = 90) -> bytes:
    """The bytes of an RGB image as JPEG; quality in [1, 95]."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def data_url(data: bytes) -> str:
    """An address that holds a JPEG."""
    return f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"


def png(image: Image.Image) -> bytes:
    """The bytes of an image as PNG."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
