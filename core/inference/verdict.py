"""A prediction in words, the same on every surface: page, picture, command line and tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.artifacts.labels import ALL

if TYPE_CHECKING:
    from core.inference.classifier import Answer  # which loads ONNX Runtime

HIGH_CONFIDENCE, MEDIUM_CONFIDENCE = 0.8, 0.5
CERTAIN = 0.995  # from which on a whole percentage would read as 100%
CLASS_NAMES = {"Tshirts": "T-shirts"}  # as people read them, where they differ from the catalogue's
GROUP_NAMES = {"tops": "Topwear", "bottoms": "Bottomwear", ALL: "All"}
MENTIONED = 3  # classes named for a photo that is out of scope


@dataclass(frozen=True)
class Verdict:
    """A prediction in words.

    Args:
        headline: the class, or that it is probably none of those asked for.
        probability: of the headline, as a percentage; empty for a photo out of scope.
        confidence: such as `High confidence`; empty where the headline names no class.
        note: one sentence more, or nothing.
    """

    headline: str
    probability: str
    confidence: str
    note: str

    @property
    def short(self) -> str:
        """Headline and probability in one line."""
        return f"{self.headline} {self.probability}".strip()


def verdict(answer: Answer, n_classes: int, group: str = ALL) -> Verdict:
    """What an answer says.

    Args:
        answer: itself.
        n_classes: how many classes the network knows.
        group: the filter it was given under.
    """
    if not answer.in_scope:
        closest = [name for name, _ in answer.ranking]
        return Verdict(
            f"Probably not one of the {n_classes} classes", "", "", f"{instead(answer.looks_like, closest)}."
        )
    if answer.filtered_out:
        headline = f"Probably not {group_name(group).lower()}"
        return Verdict(headline, f"({rounded(answer.allowed)})", "", _without_controls(answer))
    first = rounded(answer.probability)
    return Verdict(class_name(answer.label), first, confidence(answer.probability), _note(answer))


def instead(looks_like: tuple[str, float] | None, closest: Sequence[str], mentioned: int = MENTIONED) -> str:
    """What a photo out of scope shows instead, with its probability, or the classes that come closest."""
    if looks_like:
        name, probability = looks_like
        return f"Looks like {class_name(name)} ({rounded(probability)})"
    return f"Closest: {', '.join(map(class_name, closest[:mentioned]))}"


def confidence(probability: float) -> str:
    """High, medium or low confidence."""
    level = "High" if probability >= HIGH_CONFIDENCE else "Medium" if probability >= MEDIUM_CONFIDENCE else "Low"
    return f"{level} confidence"


def _note(answer: Answer) -> str:
    if answer.close_call and answer.runner_up:
        other, its = answer.runner_up
        return f"Close call: {class_name(answer.label)} {rounded(answer.probability)} or {class_name(other)} {rounded(its)}."
    label, probability = answer.without_controls
    if (label, rounded(probability)) != (answer.label, rounded(answer.probability)):
        return _without_controls(answer)
    return ""


def _without_controls(answer: Answer) -> str:
    label, probability = answer.without_controls
    return f"Without filter and bias: {class_name(label)}, {rounded(probability)}."


def class_name(label: str) -> str:
    """A class as people read it; files keep the catalogue's name."""
    return CLASS_NAMES.get(label, label)


def group_name(group: str) -> str:
    """A group of classes, or the choice of all, as people read it."""
    return GROUP_NAMES.get(group.lower(), group.capitalize())


def rounded(probability: float) -> str:
    """A probability in [0, 1] as a percentage that calls nothing certain and nothing impossible."""
    if probability >= CERTAIN:
        return "over 99%"
    if probability >= 0.01:
        return f"{probability:.0%}"
    return f"{probability:.1%}" if probability >= 0.0005 else "under 0.1%"
