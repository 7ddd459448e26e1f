"""The classifier as a library: the engine equals PyTorch, batching and threads change nothing, and errors name their cause."""

import io
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

from core import Classifier
from core.artifacts.run import Run, current_run
from core.errors import BrokenRun, InvalidRegion, UnreadablePhoto
from core.images.decode import decode_photo
from core.images.region import Region
from core.inference.model import IMAGENET_MEAN, IMAGENET_STD
from core.inference.postprocess import Controls, softmax
from core.samples import garments


def encoded(image, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def photos():
    return [decode_photo(encoded(garments.sample(name)), name) for name in ("Tshirts", "Jeans", "Skirts")]


def test_the_engine_equals_the_pytorch_network(random_classifier, random_network, photos):
    pixels = np.stack([random_classifier.prepare(photo).pixels for photo in photos])
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    mean, std = torch.tensor(IMAGENET_MEAN).view(3, 1, 1), torch.tensor(IMAGENET_STD).view(3, 1, 1)
    with torch.no_grad():
        expected = random_network((images - mean) / std).numpy()
    found = np.stack([reading.logits for reading in random_classifier.read([(photo, None) for photo in photos])])
    np.testing.assert_allclose(softmax(found), softmax(expected), atol=1e-4)


def test_the_shipped_network_shows_where_it_looked_in_every_drawn_garment():
    """A map blank for the answer's own class would say that nothing spoke for it."""
    shipped = Classifier.load()
    photos = [decode_photo(encoded(garments.sample(name)), name) for name in garments.SAMPLE_NAMES]
    for reading in shipped.read([(photo, None) for photo in photos]):
        assert reading.heat(int(reading.logits.argmax()), (72, 96)).max() == 1


def test_a_batch_answers_as_one_by_one(random_classifier, photos):
    region = Region(40, 60, 300, 500)
    inputs = [(photo, None) for photo in photos] + [(photos[0], region)]
    together = random_classifier.read(inputs)
    for item, reading in zip(inputs, together, strict=True):
        alone = random_classifier.read([item])[0]
        np.testing.assert_allclose(reading.logits, alone.logits, atol=1e-3)
        np.testing.assert_allclose(reading.maps, alone.maps, atol=1e-3)


def test_many_threads_share_one_classifier(random_classifier, photos):
    expected = [random_classifier.read([(photo, None)])[0].logits for photo in photos]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda i: random_classifier.read([(photos[i % 3], None)])[0].logits, range(24)))
    for i, logits in enumerate(found):
        np.testing.assert_allclose(logits, expected[i % 3], atol=1e-3)


def test_a_region_is_what_the_cropped_photo_would_be(random_classifier, photos):
    region = Region(40, 60, 300, 500)
    cropped = decode_photo(encoded(photos[0].image.crop(region.box)))
    np.testing.assert_array_equal(
        random_classifier.prepare(photos[0], region).pixels, random_classifier.prepare(cropped).pixels
    )


def test_a_region_means_the_same_in_a_photo_decoded_smaller(random_classifier):
    data = encoded(garments.sample("Jackets", size=(1200, 1600)), "JPEG")
    full, reduced = decode_photo(data), decode_photo(data, at_least=(300, 400))
    assert reduced.image.width < full.image.width and reduced.size == full.size
    region = Region(300, 300, 900, 1100)
    large, small = (random_classifier.prepare(photo, region).pixels.astype(int) for photo in (full, reduced))
    difference = large - small
    assert np.abs(difference).mean() < 6


def test_a_region_outside_the_photo_is_refused(random_classifier, photos):
    with pytest.raises(InvalidRegion, match="outside the photo"):
        random_classifier.read([(photos[0], Region(5000, 10, 6000, 90))])


def test_nothing_to_read_gives_nothing(random_classifier):
    assert random_classifier.read([]) == []


def test_controls_are_told_apart_from_what_the_network_said(random_classifier, photos):
    reading = random_classifier.read([(photos[0], None)])[0]
    plain = random_classifier.answer(reading)
    other = "bottoms" if plain.group == "Tops" else "tops"
    filtered = random_classifier.answer(reading, Controls(other))
    assert filtered.group.lower() == other
    label, probability = filtered.without_controls
    assert label == plain.label and probability == pytest.approx(plain.probability)


def test_the_threshold_decides_the_scope(random_run, photos):
    strict = Classifier(Run(random_run.folder, random_run.manifest | {"in_scope": {"threshold": 1e9}}))
    answer = strict.predict([photos[0].image])[0]
    assert not answer.in_scope and len(answer.ranking) == 15


def test_how_likely_a_class_is_that_the_filter_allows_is_known(random_classifier, photos):
    reading = random_classifier.read([(photos[0], None)])[0]
    shares = [random_classifier.answer(reading, Controls(group)).allowed for group in ("tops", "bottoms", "all")]
    assert shares[0] + shares[1] == pytest.approx(1) and shares[2] == pytest.approx(1)
    other = "bottoms" if random_classifier.answer(reading).group == "Tops" else "tops"
    assert random_classifier.answer(reading, Controls(other)).filtered_out == (min(shares[:2]) < 0.5)


def on_a_wall(box: tuple[int, int, int, int], size: tuple[int, int]) -> Image.Image:
    """A garment in a box of a plain canvas."""
    canvas = Image.new("RGB", size, (90, 120, 60))
    garment = np.random.default_rng(0).integers(0, 256, (box[3] - box[1], box[2] - box[0], 3), dtype=np.uint8)
    canvas.paste(Image.fromarray(garment), box[:2])
    return canvas


def test_heat_lies_on_what_the_network_saw_and_is_zero_on_the_border(random_classifier):
    box, size = (120, 30, 200, 150), (240, 180)
    photo = decode_photo(encoded(on_a_wall(box, size)))
    (reading,) = random_classifier.read([(photo, None)])
    alone = decode_photo(encoded(photo.image.crop(random_classifier.prepare(photo).frame)))
    (cropped,) = random_classifier.read([(alone, None)])
    np.testing.assert_array_equal(reading.maps, cropped.maps)
    for of_region, of_crop in (
        (reading.heat(3, size), cropped.heat(3, alone.size)),
        (reading.contrast(3, 8, size), cropped.contrast(3, 8, alone.size)),
    ):
        inside = np.zeros(size[::-1], bool)
        left, top, right, bottom = random_classifier.prepare(photo).frame
        inside[top:bottom, left:right] = True
        assert (of_region[~inside] == 0).all()
        np.testing.assert_allclose(of_region[inside].reshape(of_crop.shape), of_crop, atol=1e-6)


def test_heat_of_a_box_with_a_border_lies_inside_the_box(random_classifier):
    photo = decode_photo(encoded(on_a_wall((120, 30, 200, 150), (240, 180))))
    (reading,) = random_classifier.read([(photo, Region(100, 10, 240, 180))])
    heat = reading.contrast(3, 8, (140, 170))
    rows, columns = np.nonzero(heat)
    assert columns.min() >= 16 and columns.max() < 104 and rows.min() >= 16 and rows.max() < 144


@pytest.mark.parametrize("mode", ["RGBA", "L", "P", "CMYK"])
def test_an_opened_image_gets_the_answer_of_its_bytes(random_classifier, mode):
    image = garments.sample("Shirts").rotate(90, expand=True).convert(mode)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    buffer = io.BytesIO()
    image.save(buffer, "TIFF", exif=exif)
    opened = Image.open(io.BytesIO(buffer.getvalue()))
    of_bytes, of_image = random_classifier.predict([buffer.getvalue(), opened])
    assert [name for name, _ in of_bytes.ranking] == [name for name, _ in of_image.ranking]
    assert of_image.probability == pytest.approx(of_bytes.probability, abs=0.01)


def test_an_opened_image_of_measurements_is_refused(random_classifier):
    with pytest.raises(UnreadablePhoto, match="holds 32-bit measurements"):
        random_classifier.predict([Image.new("F", (60, 80))])


def test_unreadable_bytes_are_refused(random_classifier):
    with pytest.raises(UnreadablePhoto):
        random_classifier.predict([b"this is text"])


def altered(random_run: Run, tmp_path: Path) -> Path:
    folder = tmp_path / "runs" / "random"
    shutil.copytree(random_run.folder, folder)
    return folder


def test_damaged_weights_are_refused_by_name(random_run, tmp_path):
    folder = altered(random_run, tmp_path)
    with (folder / "model.safetensors").open("r+b") as file:
        file.seek(5000)
        file.write(b"damage")
    with pytest.raises(BrokenRun, match=r"model\.safetensors is damaged or was replaced.*git checkout -- artifacts"):
        Classifier.load(folder)


def test_weights_of_another_network_are_refused(random_run, tmp_path):
    from safetensors.numpy import save_file

    from core.artifacts.run import sha256_of

    folder = altered(random_run, tmp_path)
    save_file({"foreign": np.zeros(3, np.float32)}, folder / "model.safetensors")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["model.safetensors"] = sha256_of(folder / "model.safetensors")
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BrokenRun, match="does not hold a ResNet50"):
        Classifier.load(folder)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda runs: (runs / "current.json").unlink(), r"current\.json is missing"),
        (lambda runs: (runs / "current.json").write_text("{"), r"current\.json cannot be read"),
        (lambda runs: (runs / "current.json").write_text('{"run_id": "../../etc"}'), "not a folder name"),
        (lambda runs: (runs / "random" / "manifest.json").unlink(), r"manifest\.json is missing"),
        (lambda runs: (runs / "random" / "manifest.json").write_text('{"schema": 99}'), "of schema 99"),
        (
            lambda runs: (runs / "random" / "manifest.json").write_text(
                '{"schema": 99, "git_commit": "0123456789abcdef"}'
            ),
            "Install commit 0123456789ab or a later one",
        ),
        (lambda runs: (runs / "random" / "manifest.json").write_text("[]"), "no run manifest"),
        (
            lambda runs: (runs / "random" / "manifest.json").write_text('{"schema": 1}'),
            "missing required field `run_id`",
        ),
    ],
)
def test_a_broken_artifacts_folder_is_named(random_run, tmp_path, damage, message):
    runs = altered(random_run, tmp_path).parent
    (runs / "current.json").write_text('{"run_id": "random"}')
    damage(runs)
    with pytest.raises(BrokenRun, match=message):
        current_run(runs)


def test_a_close_call_is_one_however_few_kinds_are_listed(random_classifier, photos):
    reading = random_classifier.read([(photos[0], None)])[0]
    first, second = 0, 3
    logits = np.full_like(reading.logits, -20.0)
    logits[[first, second]] = 5.0, 4.9
    answer = random_classifier.answer(replace(reading, logits=logits), k=1)
    assert len(answer.ranking) == 1 and answer.close_call
    assert answer.runner_up[0] == random_classifier.labels.names[second]
    logits[second] = -20.0
    assert not random_classifier.answer(replace(reading, logits=logits), k=1).close_call
