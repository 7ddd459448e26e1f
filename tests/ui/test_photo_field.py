"""Photos come in: where browsers allow the camera."""

import pytest

from core.ui.photo_field import allows_camera


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("https://garments.example.com/Classify", True),
        ("http://localhost:8501/Classify", True),
        ("http://127.0.0.1:8501", True),
        ("http://[::1]:8501/Classify", True),
        ("http://192.168.1.7:8501/Classify", False),
        ("http://garments.example.com", False),
        ("", True),
    ],
)
def test_the_camera_needs_https_except_on_this_machine(address, allowed):
    assert allows_camera(address) == allowed
