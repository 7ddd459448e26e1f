"""Photos behind predictions, by id, where they lie on this machine: the Kaggle data set, or a folder of labelled photos.

The repository holds none of them. An id is only ever looked up among the files that are there, never made into a path.
"""

from __future__ import annotations

import contextlib
import re
import zipfile
import zlib
from collections.abc import Callable, Collection
from pathlib import Path

from core.errors import InvalidData
from core.settings import DATA, data_set

CATALOGUE_PHOTO = re.compile(r"(?:^|/)images/(\d+)\.jpg$")


class PhotoFiles:
    """Photos in a folder or in a zip.

    Args:
        path: the folder or the zip.
        names: photo id, as text, to the file's name inside it.
    """

    def __init__(self, path: Path, names: dict[str, str]):
        self.path = path
        self.names = names

    def read(self, ids: Collection[object]) -> dict[str, bytes]:
        """Bytes of the photos that there are, by id as text; ids without a photo, or with one that cannot be read, are left out.

        Raises:
            InvalidData: the zip cannot be read.
        """
        found = {str(photo): self.names[str(photo)] for photo in ids if str(photo) in self.names}
        if self.path.is_dir():
            return _read(found, lambda name: (self.path / name).read_bytes())
        with _archive(self.path) as archive:
            return _read(found, archive.read)


def _read(found: dict[str, str], read: Callable[[str], bytes]) -> dict[str, bytes]:
    photos = {}
    for photo, name in found.items():
        with contextlib.suppress(
            OSError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error
        ):  # Runtime: encrypted, odd compression
            photos[photo] = read(name)
    return photos


def catalogue_path() -> Path | None:
    """The Kaggle data set that `GARMENTS_DATA` names, its zip or its folder; None if it is not set.

    Raises:
        InvalidData: it does not exist.
    """
    path = data_set()
    if path is not None and not path.exists():
        raise InvalidData(f"{DATA} is {path}, which does not exist. Set it to the Kaggle zip or its folder.")
    return path


def catalogue_photos(path: Path) -> PhotoFiles:
    """The photos of the Kaggle data set, `images/<id>.jpg`. Raises InvalidData if the zip cannot be read."""
    if path.is_dir():
        names = [file.relative_to(path).as_posix() for file in path.rglob("images/*.jpg")]
    else:
        with _archive(path) as archive:
            names = archive.namelist()
    names.sort(key=len, reverse=True)  # the shortest path wins: the data set holds every photo twice
    return PhotoFiles(path, {match[1]: name for name in names if (match := CATALOGUE_PHOTO.search(name))})


def _archive(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise InvalidData(f"{path} is not a readable zip file ({error}). Download it again.") from None
