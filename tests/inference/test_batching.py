"""Many threads at one network: everybody gets the answer to their own photo, and what waits together goes together."""

import threading
from concurrent.futures import Future, ThreadPoolExecutor, wait

import numpy as np
import pytest

from core.inference import batching
from core.inference.batching import Dispatcher
from core.inference.classifier import Classifier
from core.inference.engine import Activations


def photos(number: int, size: tuple[int, int] = (8, 6), seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (number, *size, 3), dtype=np.uint8)


class Recorder:
    """An engine whose answer is the photo's sum; it notes how many photos each pass had, and can be held up."""

    height, width, provider, provider_problem = 8, 6, "fake", ""

    def __init__(self):
        self.passes: list[int] = []
        self.entered, self.go = threading.Event(), threading.Event()
        self.go.set()

    def run(self, pixels: np.ndarray) -> Activations:
        self.passes.append(len(pixels))
        self.entered.set()
        assert self.go.wait(20)
        sums = pixels.reshape(len(pixels), -1).sum(axis=1, dtype=np.float32)
        return Activations(sums[:, None], sums[:, None, None, None])


def sums(pixels: np.ndarray) -> list[float]:
    return [float(photo.sum()) for photo in pixels]


def answers(result: Activations) -> list[float]:
    assert result.logits[:, 0].tolist() == result.features[:, 0, 0, 0].tolist()
    return result.logits[:, 0].tolist()


def while_held(engine: Recorder, dispatcher: Dispatcher, requests: list[np.ndarray]) -> list[Future[Activations]]:
    """What becomes of requests that all wait while a first photo is in the network."""
    engine.go.clear()
    with ThreadPoolExecutor(len(requests) + 1) as pool:
        first = pool.submit(dispatcher.run, photos(1, seed=99))
        assert engine.entered.wait(20)
        futures, came = [], 0
        for request in requests:
            futures.append(pool.submit(dispatcher.run, request))
            came += len(request)
            while sum(len(waiting.pixels) for waiting in [*dispatcher._waiting]) < came:
                threading.Event().wait(0.001)
        engine.go.set()
        first.result(20)
        wait(futures, 20)
        return futures


def test_nobody_gets_anothers_answer(random_classifier):
    """16 threads with different photos, over and over, against the engine asked for one photo at a time."""
    engine, dispatcher = random_classifier.engine, Dispatcher(random_classifier.engine, remembered=8)
    all_photos = photos(16, (96, 72))
    alone = [engine.run(photo[None]) for photo in all_photos]

    def visit(number: int) -> bool:
        result = dispatcher.run(all_photos[number][None])
        np.testing.assert_allclose(result.logits[0], alone[number].logits[0], rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(result.features[0], alone[number].features[0], rtol=1e-3, atol=1e-3)
        return True

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(visit, [*range(16)] * 3))


def test_what_waits_together_goes_together_up_to_the_limit():
    engine = Recorder()
    requests = [photos(1, seed=number) for number in range(10)]
    results = while_held(engine, Dispatcher(engine, together=4), requests)
    assert engine.passes == [1, 4, 4, 2]
    assert [answers(future.result()) for future in results] == [sums(request) for request in requests]


def test_a_request_of_many_photos_is_split_and_lets_one_of_a_single_photo_that_came_later_go_first(monkeypatch):
    monkeypatch.setattr(batching, "LATER", 60.0)
    engine = Recorder()
    requests = [photos(9, seed=2), photos(1, seed=3)]
    results = while_held(engine, Dispatcher(engine, together=4), requests)
    assert engine.passes == [1, 2, 4, 4]
    assert [answers(future.result()) for future in results] == [sums(request) for request in requests]


def test_photos_of_different_sizes_never_share_a_pass():
    engine = Recorder()
    requests = [photos(1, (8, 6), 1), photos(1, (6, 8), 2), photos(1, (6, 8), 3)]
    results = while_held(engine, Dispatcher(engine), requests)
    assert engine.passes == [1, 1, 2]
    assert [answers(future.result()) for future in results] == [sums(request) for request in requests]


def test_an_error_reaches_those_it_concerns_and_the_next_are_served(monkeypatch):
    engine = Recorder()
    dispatcher = Dispatcher(engine)
    with monkeypatch.context() as broken:
        broken.setattr(engine, "run", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            dispatcher.run(photos(2))
    assert answers(dispatcher.run(photos(2))) == sums(photos(2))


def test_requests_that_are_too_much_together_are_answered_one_by_one_and_only_the_one_that_fails_alone_fails():
    engine = Recorder()
    run = engine.run
    requests = [photos(1, seed=1), photos(2, seed=2), photos(1, seed=3)]

    def short_of_memory(pixels: np.ndarray) -> Activations:
        if len(pixels) > 2 or (pixels == requests[2]).all():
            raise MemoryError(f"{len(pixels)} photos")
        return run(pixels)

    engine.run = short_of_memory
    *served, failed = while_held(engine, Dispatcher(engine), requests)
    assert [answers(future.result()) for future in served] == [sums(request) for request in requests[:2]]
    assert isinstance(failed.exception(), MemoryError) and str(failed.exception()) == "1 photos"


def test_a_photo_seen_before_needs_no_pass_and_the_others_of_its_request_do():
    engine = Recorder()
    dispatcher = Dispatcher(engine)
    known, both = photos(1), np.concatenate([photos(1), photos(1, seed=5)])
    assert answers(dispatcher.run(known)) == answers(dispatcher.run(known)) == sums(known)
    assert answers(dispatcher.run(both)) == sums(both)
    assert engine.passes == [1, 1]


def test_altering_a_result_does_not_alter_the_memory():
    dispatcher = Dispatcher(Recorder())
    dispatcher.run(photos(1)).logits[:] = -1
    dispatcher.run(photos(1)).logits[:] = -1
    assert answers(dispatcher.run(photos(1))) == sums(photos(1))


def test_the_memory_is_bounded_and_drops_what_was_used_longest_ago():
    engine = Recorder()
    a_photo = sum(part.nbytes for part in engine.run(photos(1)))
    engine.passes.clear()
    dispatcher = Dispatcher(engine, remembered=2 * a_photo)
    for seed in (1, 2, 1, 3, 1, 2):  # 3 drives 2 out, since 1 was used after it
        dispatcher.run(photos(1, seed=seed))
    assert len(engine.passes) == 4
    assert dispatcher._known.currsize == 2 * a_photo


def test_a_result_too_large_to_remember_is_answered_all_the_same():
    engine = Recorder()
    dispatcher = Dispatcher(engine, remembered=1)
    assert answers(dispatcher.run(photos(1))) == answers(dispatcher.run(photos(1))) == sums(photos(1))
    assert engine.passes == [1, 1]


def test_the_same_pixels_in_another_shape_are_another_photo():
    engine = Recorder()
    dispatcher = Dispatcher(engine)
    wide, tall = photos(1, (8, 6)), photos(1, (8, 6)).reshape(1, 6, 8, 3)
    dispatcher.run(wide)
    dispatcher.run(tall)
    assert engine.passes == [1, 1]


def test_a_shared_classifier_answers_as_one_of_ones_own(random_run, random_classifier):
    shared = Classifier(random_run, shared=True)
    pixels = photos(3, random_classifier.input_size)
    np.testing.assert_allclose(
        shared.engine.run(pixels).logits, random_classifier.engine.run(pixels).logits, rtol=1e-4, atol=1e-4
    )
    assert (
        shared.input_size == random_classifier.input_size
        and shared.engine.provider == random_classifier.engine.provider
    )
