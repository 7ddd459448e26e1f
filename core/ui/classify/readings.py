"""What the network saw in this visitor's photos and boxes, kept so that one looked at before is answered at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import streamlit as st
from cachetools import LRUCache

from core.images.decode import Photo
from core.images.region import Region
from core.inference.classifier import Classifier, Reading

READINGS = 400  # of a session; of 10 to 30 KB each
Wanted = tuple[str, Region | None]


def read(classifier: Classifier, wanted: Sequence[Wanted], photo: Callable[[str], Photo]) -> list[Reading]:
    """What the network sees in photos and boxes; one batched pass for those not seen before in this session.

    Args:
        classifier: the session's.
        wanted: a photo's SHA-256, and the box on it or None for the whole photo.
        photo: gives a photo by its SHA-256.
    """
    cache: LRUCache[tuple[str, str, Region | None], Reading] = st.session_state.setdefault(
        "readings", LRUCache(READINGS)
    )
    keys = [(classifier.run.run_id, *item) for item in wanted]
    new = [key for key in dict.fromkeys(keys) if key not in cache]
    if not new:
        return [cache[key] for key in keys]
    with st.spinner("Classifying…"):  # appears where it takes half a second
        fresh = dict(zip(new, classifier.read([(photo(sha256), region) for _, sha256, region in new]), strict=True))
    found = [fresh[key] if key in fresh else cache[key] for key in keys]
    cache.update(fresh)
    return found


def forget(sha256: str) -> None:
    """Forget what was seen in a photo that is closed."""
    cache = st.session_state.get("readings", {})
    for key in [key for key in cache if key[1] == sha256]:
        del cache[key]
