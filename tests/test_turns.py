"""Places go to who used them least lately; nobody holds all of them."""

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from unittest.mock import patch

import pytest

from core import turns
from core.errors import Busy
from core.stopwatch import stopwatch, timed
from core.turns import Turns, _Ticket


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

    def stopped(*_: object) -> None:
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


def waiting_in_line(places: Turns[int], visitors: list[str], threads: ThreadPoolExecutor) -> list[Future[None]]:
    """What becomes of visitors who come one after another while all places are taken."""
    done, entered, enter = [], threading.Semaphore(0), places._enter

    def counted(visitor: str) -> _Ticket:
        ticket = enter(visitor)
        entered.release()
        return ticket

    with patch.object(places, "_enter", counted):
        for visitor in visitors:
            done.append(threads.submit(take, places, visitor, []))
            assert entered.acquire(timeout=60)
    return done


def test_alone_a_visitor_has_all_places_but_one_and_beside_another_an_equal_share():
    places, alone, together = Turns(range(4)), [], []
    with ExitStack() as held:
        for _ in range(3):
            alone.append(held.enter_context(places.taken("greedy")))
        assert places._share() == 3
    with places.taken("other"), ThreadPoolExecutor(3) as threads, ExitStack() as held:
        together += [held.enter_context(places.taken("greedy")) for _ in range(2)]
        more = threads.submit(take, places, "greedy", [])
        time.sleep(0.05)
        assert not more.done() and len(places._free) == 1
        held.close()
    assert len(alone) == 3 and len(together) == 2


def test_one_who_waits_is_told_how_many_visitors_are_before_them_not_how_many_requests(monkeypatch):
    monkeypatch.setattr(turns, "LOOK", 0.01)
    places, said = Turns(range(1)), []

    def say(before: int) -> None:
        said.append(before)
        if len(said) == 2:
            held.close()

    with ThreadPoolExecutor(8) as threads, ExitStack() as held:
        held.enter_context(places.taken("first"))
        waiting_in_line(places, ["a", "a", "a", "b", "c"], threads)
        with places.taken("me", say):
            pass
    assert said[:2] == [3, 3]


def test_when_too_many_wait_the_visitor_with_most_in_the_queue_is_refused_and_the_others_stay():
    places = Turns(range(1), bound=4)
    with ThreadPoolExecutor(8) as threads:
        with places.taken("first"):
            done = waiting_in_line(places, ["tabs", "tabs", "a", "tabs", "b", "c"], threads)
        problems = [one.exception(60) for one in done]
    assert [type(problem) for problem in problems] == [type(None), Busy, type(None), Busy, type(None), type(None)]
    assert "The server is busy: 4 requests are waiting" in str(problems[1])
    assert not places._waiting and places._free == [0]


def test_the_time_in_the_queue_is_told_apart_from_what_is_done_then(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("core.stopwatch.time.perf_counter", lambda: clock[0])
    places = Turns(range(1))
    enter = places._enter

    def slow(visitor: str) -> object:
        clock[0] += 3
        return enter(visitor)

    monkeypatch.setattr(places, "_enter", slow)
    with stopwatch() as watch, stopwatch() as same, timed("decode"):
        clock[0] += 1
        with places.taken("a"):
            clock[0] += 2
    assert watch is same and watch.parts == {"queue": 3, "decode": 3}
    with timed("decode"):
        pass
    assert watch.parts["decode"] == 3
