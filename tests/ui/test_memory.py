"""Photos' memory goes back to the system."""

import platform
import subprocess
import sys

import pytest

from tests.conftest import ROOT

# Photos come and go while something small that stays is made after each.
PHOTOS = """
import re
from pathlib import Path
from core.ui.server import give_back_large_blocks

def megabytes():
    return int(re.search(r"VmRSS:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024

{first}
bytearray(24 * 2**20)
before, photos, small = megabytes(), [], []
for _ in range(40):
    photos.append(bytearray(8 * 2**20))
    small.append(bytearray(100_000))
photos.clear()
print(megabytes() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are left as they are")
@pytest.mark.parametrize(("first", "least", "most"), [("", 200, 400), ("give_back_large_blocks()", 0, 20)])
def test_the_memory_of_photos_goes_back_to_the_system(first, least, most):
    done = subprocess.run([sys.executable, "-c", PHOTOS.format(first=first)], cwd=ROOT, capture_output=True, check=True)
    assert least <= int(done.stdout) <= most
