"""Text that may come from a stranger, made fit for Markdown."""

from __future__ import annotations

import re

ADDRESSES = re.compile(r"(https?(?=:)|www(?=\.)|(?=@))", re.IGNORECASE)  # the beginnings of what is made a link
WORD_JOINER = "\u2060"  # is not seen


def literal(text: str) -> str:
    """Text for Markdown, shown as it is. An address in it becomes no link, even where what is escaped would."""
    return re.sub(r"([\\`*_{}\[\]()#+!<>$:~|-])", r"\\\1", ADDRESSES.sub(rf"\1{WORD_JOINER}", text))


def told(message: object) -> str:
    """A message for Markdown: what it names may come from a stranger's file, so all of it is literal but commands in backticks."""
    parts = re.split(r"((?<!`)`[^`]+`(?!`))", str(message))
    return "".join(part if place % 2 else literal(part) for place, part in enumerate(parts))
