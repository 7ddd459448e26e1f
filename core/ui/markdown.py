"""Text that may come from a stranger, made fit for Markdown."""

from __future__ import annotations

import re


def literal(text: str) -> str:
    """Text for Markdown, shown as it is."""
    return re.sub(r"([\\`*_{}\[\]()#+!<>$:~|-])", r"\\\1", text)


def told(message: object) -> str:
    """A message for Markdown: what it names may come from a stranger's file, so all of it is literal but commands in backticks."""
    parts = re.split(r"((?<!`)`[^`]+`(?!`))", str(message))
    return "".join(part if place % 2 else literal(part) for place, part in enumerate(parts))
