"""Which requests reach the dashboard: none of another site's pages, and no upload that the memory has no room for.

It stands before all of Streamlit, from the server's start, so that Streamlit never has to decide about another site: it would first ask a
service on the internet for its own address, while every visitor waits.
"""

from __future__ import annotations

import logging
import re
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from streamlit import config, runtime

from core.errors import QuotaReached
from core.ui.quota import MB, Held, quota, visitor_of

UPLOAD = re.compile(r"/_stcore/upload_file/([^/]+)/([^/]+)$")
COPIES = 2  # of an upload while it comes: on the disk, which in a container is memory too, and then read
log = logging.getLogger(__name__)


class Gate:
    """ASGI middleware round Streamlit."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._uploads: dict[tuple[str, str], Held] = {}  # by session and file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a request, or pass it on."""
        if scope["type"] in ("http", "websocket") and is_foreign(Headers(scope=scope)):
            await _refuse(scope, receive, send, 403, "Requests from pages of other sites are refused.")
        elif scope["type"] == "http" and scope["method"] == "PUT" and (upload := UPLOAD.search(scope["path"])):
            await self._take_upload(upload[1], upload[2], scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _take_upload(self, session: str, file: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Count an upload before a byte of it is read, and for as long as Streamlit keeps it."""
        headers = Headers(scope=scope)
        visitor = visitor_of(headers, (scope.get("client") or [None])[0], session)
        size = _size(headers)
        self._forget_removed()
        try:
            coming = quota.hold(visitor, COPIES * size)
        except QuotaReached as error:
            log.warning("refused an upload of %d bytes: %s", size, error)
            await _refuse(scope, receive, send, 413, str(error))
            return
        await self._app(scope, receive, send)
        coming.size = size
        self._uploads[session, file] = coming
        self._forget_removed()

    def _forget_removed(self) -> None:
        """Streamlit removes files with their session or widget, or never kept them."""
        if self._uploads:
            manager = runtime.get_instance().uploaded_file_mgr
            self._uploads = {key: held for key, held in self._uploads.items() if manager.get_files(key[0], [key[1]])}


def is_foreign(headers: Headers) -> bool:
    """Whether a request comes from a page of another site than the one that it is sent to, by Streamlit's own settings."""
    origin = headers.get("origin")
    if origin is None or not config.get_option("server.enableCORS"):
        return False
    return urlsplit(origin).netloc != headers.get("host") and origin not in config.get_option(
        "server.corsAllowedOrigins"
    )


def _size(headers: Headers) -> int:
    """Bytes of a request, by what it says of itself, to which the server holds it; the most allowed where it says nothing."""
    length = headers.get("content-length", "")
    return int(length) if re.fullmatch("[0-9]{1,15}", length) else config.get_option("server.maxUploadSize") * MB


async def _refuse(scope: Scope, receive: Receive, send: Send, status: int, why: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})  # before it is accepted: status 403
    else:
        await PlainTextResponse(why, status, headers={"Connection": "close"})(scope, receive, send)


GATE = [Middleware(Gate)]
