"""Places go to who used them least lately; nobody holds all of them."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from core import turns
from core.turns import Turns


def test_a_visitor_who_asks_for_much_leaves_a_place_to_the_others():
    places, enough, served = Turns(range(3)), threading.Event(), []

    def work(visitor: str) -> None:
        with places.taken(visitor):
            served.append(visitor)
            enough.wait(60)

    with ThreadPoolExecutor(12) as threads:
        for _ in range(10):
            threads.submit(work, "greedy")
        while len(served) < 2:
            time.sleep(0.01)
        threads.submit(work, "other")
        deadline = time.monotonic() + 60
        while "other" not in served and time.monotonic() < deadline:
            time.sleep(0.01)
        seen = list(served)
        enough.set()
    assert seen == ["greedy", "greedy", "other"]


def test_who_used_least_comes_first_and_among_equals_who_came_first(monkeypatch: pytest.MonkeyPatch):
    clock = [0.0]
    monkeypatch.setattr(turns.time, "monotonic", lambda: clock[0])
    places = Turns(range(1))
    for visitor, seconds in (("a", 5.0), ("b", 1.0)):
        with places.taken(visitor):
            clock[0] += seconds
    order: list[str] = []
    with ThreadPoolExecutor(8) as threads, places.taken("c"):
        for number, visitor in enumerate(["a", "a", "b", "new", "newer"], 1):
            threads.submit(lambda visitor=visitor: take(places, visitor, order))
            while len(places._waiting) < number:
                threading.Event().wait(0.01)
    assert order == ["new", "newer", "b", "a", "a"]


def take(places: Turns[int], visitor: str, order: list[str]) -> None:
    with places.taken(visitor):
        order.append(visitor)


def test_what_was_used_is_forgotten_and_nothing_is_kept_of_who_went(monkeypatch: pytest.MonkeyPatch):
    clock = [0.0]
    monkeypatch.setattr(turns.time, "monotonic", lambda: clock[0])
    places = Turns(range(2))
    for number in range(1000):
        with places.taken(f"visitor {number}"):
            clock[0] += 0.5
    assert len(places._used) < 1000
    clock[0] += 3600
    with places.taken("last"):
        pass
    assert places._used.keys() <= {"last"} and not places._holding and not places._waiting


def test_one_who_stops_waiting_leaves_the_queue_to_the_others(monkeypatch: pytest.MonkeyPatch):
    places = Turns(range(1))

    def stopped(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(places._changed, "wait_for", stopped)
    with pytest.raises(KeyboardInterrupt), places.taken("a"):
        pass
    monkeypatch.undo()
    with places.taken("b") as place:
        assert place == 0


def test_a_place_is_given_back_whatever_happens():
    places = Turns(["only"])
    for _ in range(3):
        with pytest.raises(ValueError), places.taken("a"):
            raise ValueError
