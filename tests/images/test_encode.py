"""Pictures sent within the page."""

import base64
import io

from PIL import Image

from core.images.encode import data_url, jpeg
from core.samples.garments import sample


def test_an_address_holds_the_picture():
    picture = sample("Shirts", size=(48, 64))
    kind, _, data = data_url(jpeg(picture)).partition(";base64,")
    with Image.open(io.BytesIO(base64.b64decode(data))) as shown:
        assert kind == "data:image/jpeg" and shown.format == "JPEG" and shown.size == picture.size


def test_less_quality_takes_fewer_bytes():
    picture = sample("Shirts", size=(240, 320))
    assert len(jpeg(picture, 50)) < len(jpeg(picture, 75)) < len(jpeg(picture))
