"""One network for many visitors: what waits at the same moment goes through it together, and what it has seen it remembers.

The batching window adapts to the traffic by itself: it is as long as the pass before, so that nobody waits for company while the network
is free, and under load each pass is as full as may be (`python -m benchmarks.dispatch` compares it with a window of fixed length).
"""

from __future__ import annotations

import hashlib
import itertools
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock

import numpy as np
from cachetools import LRUCache

from core.inference.engine import Activations, Engine
from core.stopwatch import took

TOGETHER = (
    8  # photos in one forward pass at most: longer passes are hardly faster by the photo, and all others wait for them
)
LATER = 0.02  # seconds by which each photo of a request puts it back in the queue
REMEMBERED = 24 * 2**20  # bytes; a photo takes about 80 KB at 96x72


@dataclass(eq=False)
class _Request:
    """Photos that wait for the network.

    Args:
        pixels: uint8 (B, H, W, 3).
        answer: to be set.
        came: when.
        begun: when its pass began.
    """

    pixels: np.ndarray
    answer: Future[Activations] = field(default_factory=Future[Activations])
    came: float = field(default_factory=time.perf_counter)
    begun: float = 0.0

    @property
    def place(self) -> float:
        """In the queue: small requests overtake large ones that came a little before them."""
        return self.came + LATER * len(self.pixels)


class Dispatcher:
    """Runs an engine for any number of threads, in place of it.

    Forward passes never overlap: each takes what is waiting, so that under load a photo costs what it costs in a batch. Requests of many
    photos are split, and wait a little longer than those of few, for visitors with one photo are not to wait for one with many. Photos
    seen lately, whoever asked, are answered from memory.

    Args:
        engine: to run.
        together: photos in one forward pass at most.
        remembered: bytes of results that are kept, those used longest ago being dropped.
    """

    def __init__(self, engine: Engine, together: int = TOGETHER, remembered: int = REMEMBERED):
        self.engine = engine
        self.together = together
        self.height, self.width = engine.height, engine.width
        self.provider, self.provider_problem = engine.provider, engine.provider_problem
        self._known: LRUCache[bytes, Activations] = LRUCache(remembered, getsizeof=_bytes)
        self._lock = Lock()
        self._waiting: list[_Request] = []
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="network")  # ends with this object

    def run(self, pixels: np.ndarray) -> Activations:
        """As `Engine.run`: uint8 (B, H, W, 3)."""
        keys = [_digest(photo) for photo in pixels]
        with self._lock:
            found = [self._known.get(key) for key in keys]
        new = [i for i, result in enumerate(found) if result is None]
        if new:
            for i, logits, features in zip(new, *self._ask(pixels[new]), strict=True):
                found[i] = self._remember(keys[i], Activations(logits.copy(), features.copy()))
        return Activations(*(np.stack(parts) for parts in zip(*(f for f in found if f), strict=True)))

    def _remember(self, key: bytes, result: Activations) -> Activations:
        with self._lock:
            if _bytes(result) <= self._known.maxsize:
                self._known[key] = result
        return result

    def _ask(self, pixels: np.ndarray) -> Activations:
        parts = [self._asked(pixels[start : start + self.together]) for start in range(0, len(pixels), self.together)]
        answers = [request.answer.result() for request in parts]
        took("queue", parts[0].begun - parts[0].came)
        return Activations(*(np.concatenate(part) for part in zip(*answers, strict=True)))

    def _asked(self, pixels: np.ndarray) -> _Request:
        request = _Request(pixels)
        with self._lock:
            self._waiting.append(request)
        self._worker.submit(self._serve)
        return request

    def _serve(self) -> None:
        """One forward pass over the requests whose turn it is, if an earlier pass has not taken them along."""
        if requests := self._next():
            self._answer(requests)

    def _answer(self, requests: list[_Request]) -> None:
        """One forward pass; if it fails, one for each request, for together they may be what is too much."""
        try:
            logits, features = self.engine.run(np.concatenate([request.pixels for request in requests]))
        except Exception as error:
            if len(requests) == 1:
                requests[0].answer.set_exception(error)
                return
            for request in requests:
                self._answer([request])
            return
        ends = itertools.accumulate(len(request.pixels) for request in requests)
        for request, end in zip(requests, ends, strict=True):
            part = slice(end - len(request.pixels), end)
            request.answer.set_result(Activations(logits[part], features[part]))

    def _next(self) -> list[_Request]:
        """Requests of one size of photo, `together` photos at most, at least one request if any waits.

        None has more photos than all before it together: it would more than double their wait.
        """
        requests: list[_Request] = []
        photos, begun = 0, time.perf_counter()
        with self._lock:
            for request in sorted(self._waiting, key=lambda request: request.place):
                size = len(request.pixels)
                alike = not requests or request.pixels.shape[1:] == requests[0].pixels.shape[1:]
                if requests and (photos + size > self.together or size > photos or not alike):
                    break
                request.begun = begun
                requests.append(request)
                photos += size
                self._waiting.remove(request)
        return requests


def _bytes(result: Activations) -> int:
    return sum(part.nbytes for part in result)


def _digest(photo: np.ndarray) -> bytes:
    return hashlib.sha256(repr(photo.shape).encode() + photo.tobytes()).digest()
