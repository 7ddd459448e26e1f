"""Every message that the product can give stands in docs/troubleshooting.md."""

import ast
import re
from pathlib import Path

import pytest

from core import errors
from core.artifacts.run import RESTORE_HINT
from core.feedback import REASONS
from core.images.file_kind import ACCEPTED, DAMAGED
from tests.conftest import ROOT
from train.initial_weights import OFFLINE_HINT


def plain(text: str) -> str:
    """Words without code marks and line ends."""
    return re.sub(r"\s+", " ", text.replace("`", "")).strip()


TEXT = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
GUIDE = plain(TEXT)
ROWS = [plain(line) for line in TEXT.splitlines() if line.startswith("|")]
GIVERS = {name for name, value in vars(errors).items() if isinstance(value, type)} | {
    *("_refuse", "_by_hand", "_Refused", "_end"),
    *("st.error", "st.warning", "st.info", "st.toast"),
}  # what is called with a message
FILES = [path for folder in ("core", "train", "pages") for path in sorted((ROOT / folder).rglob("*.py"))]
SHORTEST = 8  # characters of fixed words; with fewer a message only passes on another one


def fixed_words(message: ast.expr) -> list[str]:
    """The words of a message's first sentence that are the same each time, in order; none if all of it differs."""
    parts = message.values if isinstance(message, ast.JoinedStr) else [message]
    texts = [part.value if isinstance(part, ast.Constant) and isinstance(part.value, str) else "\0" for part in parts]
    first_sentence = re.split(r"(?<=[a-z\0)])[.:;](?:\s|$)", "".join(texts))[0]
    return [words for part in first_sentence.split("\0") if (words := plain(part).strip(" ,()[]“”"))]


def messages(path: Path) -> list[tuple[str, list[str]]]:
    """Where a file gives a message of its own words, and the fixed ones of them."""
    calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    own = [call for call in calls if call.args and ast.unparse(call.func) in GIVERS]
    found = [(f"{str(path).removeprefix(f'{ROOT}/')}:{call.lineno}", fixed_words(call.args[-1])) for call in own]
    return [(place, words) for place, words in found if len("".join(words)) >= SHORTEST]


def in_the_guide(words: list[str]) -> bool:
    """Whether one row has all these words in their order."""
    pattern = re.compile(".*".join(map(re.escape, words)))
    return any(pattern.search(row) for row in ROWS)


SITES = [site for path in FILES for site in messages(path)]


@pytest.mark.parametrize(("place", "words"), SITES, ids=[place for place, _ in SITES])
def test_a_message_stands_in_the_guide(place: str, words: list[str]):
    assert in_the_guide(words), f"docs/troubleshooting.md lacks the message of {place}: {' … '.join(words)}"


def test_all_kinds_of_messages_are_found():
    assert len(SITES) > 110
    assert {place.partition("/")[0] for place, _ in SITES} == {"core", "train", "pages"}
    assert len([place for place, _ in SITES if place.startswith("core/ui")]) > 15


def test_a_message_that_the_guide_lacks_is_seen(tmp_path: Path):
    page = tmp_path / "page.py"
    page.write_text(
        'st.toast("Nobody has ever seen this. Wait.", icon="x")\n'
        'raise InvalidData(f"{name} has {n} wheels; at most {most}.")\n'
        'st.warning(f"{name}: {error}")\n'
    )
    found = [words for _, words in messages(page)]
    assert found == [["Nobody has ever seen this"], ["has", "wheels"]]
    assert not any(map(in_the_guide, found))


@pytest.mark.parametrize("reason", sorted(set(REASONS.values())))
def test_a_reason_why_nothing_is_stored_stands_in_the_guide(reason: str):
    assert in_the_guide([reason.partition(".")[0]])


@pytest.mark.parametrize(
    "text", [RESTORE_HINT, OFFLINE_HINT, ACCEPTED, DAMAGED], ids=["restore", "weights", "accepted", "damaged"]
)
def test_shared_advice_stands_in_the_guide(text: str):
    assert plain(re.split(r"[({,]", text)[0]) in GUIDE
