"""Photos of the Kaggle data set by product id, where the data set lies on this machine. The repository holds none of them."""

from __future__ import annotations

import os
import re
import zipfile
from functools import cached_property
from pathlib import Path

from core.errors import InvalidData

SETTING = "GARMENTS_DATA"


class CataloguePhotos:
    """The photos of a Kaggle zip, or of the folder it was extracted to.

    Args:
        path: the zip, or a folder with `images/<id>.jpg` in it or in a folder below.
    """

    def __init__(self, path: Path):
        self.path = path

    @classmethod
    def from_setting(cls) -> CataloguePhotos | None:
        """Where the environment variable `GARMENTS_DATA` points to; None if it is not set.

        Raises:
            InvalidData: it points to nothing.
        """
        setting = os.environ.get(SETTING)
        if not setting:
            return None
        path = Path(setting).expanduser()
        if not path.exists():
            raise InvalidData(f"{SETTING} is {setting}, where nothing is. Point it to the Kaggle zip or its folder.")
        return cls(path)

    @cached_property
    def _names(self) -> dict[str, str]:
        """Product id to the name of its photo, for a zip relative to the archive, else to the folder."""
        if self.path.is_dir():
            names = (file.relative_to(self.path).as_posix() for file in self.path.rglob("images/*.jpg"))
        else:
            with self._archive() as archive:
                names = archive.namelist()
        photos = {}
        for name in sorted(names, key=len, reverse=True):  # the shortest path wins: the zip holds everything twice
            if match := re.search(r"(?:^|/)images/(\d+)\.jpg$", name):
                photos[match[1]] = name
        return photos

    def _archive(self) -> zipfile.ZipFile:
        try:
            return zipfile.ZipFile(self.path)
        except (zipfile.BadZipFile, OSError) as error:
            raise InvalidData(f"{self.path} is not a readable zip file ({error}). Download it again.") from None

    def read(self, ids: list) -> dict[str, bytes]:
        """Bytes of the photos that there are, by id as text; ids without a photo are left out.

        Raises:
            InvalidData: the zip cannot be read.
        """
        found = {str(product): self._names[str(product)] for product in ids if str(product) in self._names}
        if self.path.is_dir():
            return {product: (self.path / name).read_bytes() for product, name in found.items()}
        with self._archive() as archive:
            return {product: archive.read(name) for product, name in found.items()}
