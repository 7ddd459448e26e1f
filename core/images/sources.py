"""Where photos come from: files, folders, zip files and lists of them, found one after another, read only when asked for."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import stat
import unicodedata
import zipfile
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, NamedTuple, NoReturn, TypeVar

from core.errors import GarmentError, InvalidData, UnreadablePhoto
from core.images.decode import ACCEPTED_SUFFIXES, MAX_BYTES, display_name

Item = TypeVar("Item")


ENCRYPTED, NAME_IN_UTF_8 = 0x1, 0x800  # of a zip file's flags


class PhotoFile(NamedTuple):
    """A photo not yet read.

    Args:
        name: for its record; always valid UTF-8.
        read: gives its bytes, at most one more than the decoder accepts; raises UnreadablePhoto.
    """

    name: str
    read: Callable[[], bytes]


class Inventory(NamedTuple):
    """How many photos there are, and a SHA-256 over their names in order, which tells one list of photos from another."""

    photos: int
    names: str


def find_photos(paths: Iterable[Path]) -> Iterator[PhotoFile]:
    """Photos named by paths, in their order: files as they are, folders and zip files searched for the accepted suffixes.

    A folder gives its own photos by name, then those of its subfolders by name; a zip file gives its photos by name. What cannot be
    read or has no photos in it is given too, and says so when it is read. Never holds more than the names of one folder or the contents of
    one zip file.
    """
    for path in paths:
        kind = _kind(path)
        if stat.S_ISDIR(kind):
            yield from _photos_in_folder(path)
        elif path.suffix.lower() == ".zip" and stat.S_ISREG(kind):
            yield from _photos_in_zip_file(path)
        else:
            yield photo_on_disk(path)


def listed_paths(list_file: Path) -> Iterator[Path]:
    """The paths in a text file, one a line, relative to the current folder; empty lines are passed over. Raises OSError."""
    with list_file.open(encoding="utf-8-sig", errors="surrogateescape") as file:
        for line in file:
            if line.strip():
                yield Path(line.rstrip("\n"))


def is_photo(name: str) -> bool:
    """By its suffix; macOS's companion files (`._shirt.jpg`) carry it too and are none."""
    path = PurePosixPath(name)
    return path.suffix.lower() in ACCEPTED_SUFFIXES and not path.name.startswith("._")


def photo_on_disk(path: Path) -> PhotoFile:
    """The photo at a path."""
    return _photo(str(path), partial(_open_file, path))


def take_inventory(files: Iterable[PhotoFile]) -> Inventory:
    """Count photos without reading them."""
    digest, count = hashlib.sha256(), 0
    for file in files:
        digest.update(file.name.encode() + b"\0")
        count += 1
    return Inventory(count, digest.hexdigest())


def photos_in_zip(source: Path | BinaryIO, name: str) -> Iterator[tuple[PhotoFile, int]]:
    """Photos of a zip file by name, each with the number of bytes it claims to unpack to; nothing is unpacked to disk.

    Raises:
        InvalidData: it is no readable zip file, has no photos in it, or all of them are protected by a password.
    """
    try:
        archive = zipfile.ZipFile(source)  # closed when the last of its photos is forgotten
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise InvalidData(
            f"{display_name(name)} is no readable zip file ({error}). Pack or download it again."
        ) from None
    members = [(_member_name(member), member) for member in archive.infolist()]
    photos = sorted((found for found in members if is_photo(found[0])), key=lambda found: found[0])
    if not photos:
        raise InvalidData(_without_photos(name, [inside for inside, _ in members]))
    if all(_is_locked(member) for _, member in photos):
        raise InvalidData(f"{display_name(name)} is protected by a password. Unpack it, then give its photos.")
    return (
        (_photo(f"{name}/{inside}", partial(_open_member, archive, member)), member.file_size)
        for inside, member in photos
    )


def _member_name(member: zipfile.ZipInfo) -> str:
    """The name of a file in a zip file; macOS writes UTF-8 without saying so, and accents as characters of their own."""
    name = member.filename
    if not member.flag_bits & NAME_IN_UTF_8:
        with contextlib.suppress(UnicodeError):
            name = name.encode("cp437").decode()
    return unicodedata.normalize("NFC", name)


def _without_photos(name: str, members: list[str]) -> str:
    inner = [display_name(member) for member in members if member.lower().endswith(".zip")]
    hint = f", but other zip files: {', '.join(inner[:5])}. Unpack it, then give those" if inner else ""
    return f"{display_name(name)} has no photos in it{hint}."


def _is_locked(member: zipfile.ZipInfo) -> bool:
    return bool(member.flag_bits & ENCRYPTED)


def _open_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> IO[bytes]:
    if _is_locked(member):
        raise ValueError("it is protected by a password")
    return archive.open(member)


def batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Groups of `size` items in order, the last one perhaps smaller."""
    iterator = iter(items)
    while batch := list(itertools.islice(iterator, size)):
        yield batch


def _photos_in_folder(folder: Path) -> Iterator[PhotoFile]:
    refused: list[OSError] = []
    empty = True
    for path, subfolders, names in os.walk(folder, onerror=refused.append):
        subfolders.sort()
        for name in sorted(filter(is_photo, names)):
            empty = False
            yield photo_on_disk(Path(path, name))
    for error in refused:
        yield _photo(str(error.filename), partial(_refuse, error))
    if empty and not refused:
        yield _photo(str(folder), partial(_refuse, InvalidData(_without_photos(str(folder), []))))


def _photos_in_zip_file(path: Path) -> Iterator[PhotoFile]:
    try:
        yield from (file for file, _ in photos_in_zip(path, str(path)))
    except InvalidData as error:
        yield _photo(str(path), partial(_refuse, error))


def _kind(path: Path) -> int:
    """The kind of a file, as in `st_mode`; 0 where none can be found."""
    try:
        return path.stat().st_mode
    except (OSError, ValueError):  # a name may be too long, or hold a zero
        return 0


def _open_file(path: Path) -> IO[bytes]:
    """Open a file; a pipe or device is refused, where a reader could wait for ever. Raises OSError or ValueError."""
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0))
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise ValueError("it is no file but a folder, a pipe or a device")
    return os.fdopen(handle, "rb")


def _photo(name: str, open_: Callable[[], IO[bytes]]) -> PhotoFile:
    name = name.encode("utf-8", "backslashreplace").decode()  # a file name may hold bytes that are no text
    return PhotoFile(name, partial(_read, name, open_))


def _read(name: str, open_: Callable[[], IO[bytes]]) -> bytes:
    try:
        with open_() as file:
            return file.read(MAX_BYTES + 1)  # one more than allowed, so that the decoder refuses it by its size
    except GarmentError:
        raise
    except Exception as problem:  # each of zip's methods of compression raises its own types on damaged bytes
        reason = getattr(problem, "strerror", None) or problem
        raise UnreadablePhoto(f"{display_name(name)} cannot be read ({reason}).") from problem


def _refuse(error: Exception) -> NoReturn:
    raise error
