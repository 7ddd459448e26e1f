"""Every message that the product can give stands in docs/troubleshooting.md."""

import ast
import re
from pathlib import Path

import pytest

from core import errors
from core.images import ACCEPTED, DAMAGED
from core.runs import RESTORE_HINT
from tests.conftest import ROOT
from train.initial_weights import OFFLINE_HINT


def plain(text: str) -> str:
    """Words without code marks and line ends."""
    return re.sub(r"\s+", " ", text.replace("`", "")).strip()


GUIDE = plain((ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8"))
RAISERS = {name for name, value in vars(errors).items() if isinstance(value, type)} | {
    "_refuse",
    "_by_hand",
    "_Refused",
}
SHORTEST = 8  # characters of fixed words; with fewer a message only passes on another one


def fixed_words(message: ast.expr) -> str:
    """The longest run of words of a message's first sentence that is the same each time; empty if there is none."""
    parts = message.values if isinstance(message, ast.JoinedStr) else [message]
    texts = [part.value if isinstance(part, ast.Constant) and isinstance(part.value, str) else "\0" for part in parts]
    first_sentence = re.split(r"(?<=[a-z\0)])[.:;](?:\s|$)", "".join(texts))[0]
    return max(first_sentence.split("\0"), key=len).strip(" ([\n")


def raise_sites(path: Path) -> list[tuple[str, str]]:
    """Where a file makes an error of ours, and the fixed words of its message."""
    calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    own = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id in RAISERS and call.args]
    return [(f"{path.parent.name}/{path.name}:{call.lineno}", fixed_words(call.args[-1])) for call in own]


SITES = [
    site
    for folder in ("core", "train")
    for path in sorted((ROOT / folder).glob("*.py"))
    for site in raise_sites(path)
    if len(site[1]) >= SHORTEST
]


@pytest.mark.parametrize(("place", "words"), SITES, ids=[place for place, _ in SITES])
def test_a_message_stands_in_the_guide(place: str, words: str):
    assert plain(words) in GUIDE, f"docs/troubleshooting.md lacks the message of {place}"


def test_all_kinds_of_messages_are_found():
    assert len(SITES) > 60
    assert {"core", "train"} == {place.partition("/")[0] for place, _ in SITES}


@pytest.mark.parametrize(
    "text", [RESTORE_HINT, OFFLINE_HINT, ACCEPTED, DAMAGED], ids=["restore", "weights", "accepted", "damaged"]
)
def test_shared_advice_stands_in_the_guide(text: str):
    assert plain(re.split(r"[({,]", text)[0]) in GUIDE
