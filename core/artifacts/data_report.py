"""What `data.json` of a run says of the photos that were indexed, as a typed record. docs/architecture.md explains the file.

Fields that only people read (photos by label, other products by split) are left out; what is unknown is None or empty.
"""

from __future__ import annotations

from core.artifacts.manifest import Record


class NearDuplicates(Record, frozen=True, kw_only=True):
    """How many photos look nearly like another one, and how many groups they make."""

    groups: int = 0
    photos: int = 0


class CustomPhotos(Record, frozen=True, kw_only=True):
    """Rows appended to the catalogue: ids from `ids_from` on. `appended` is None where only the loaded ones are known."""

    ids_from: int
    appended: int | None = None
    loaded: int = 0
    failed: tuple[int, ...] = ()


class DataReport(Record, frozen=True, kw_only=True):
    """`data.json`.

    Args:
        sources: names of the data sets.
        fingerprint: what photos of the same data sets have in common.
        photos: their number.
        in_scope: how many of them are of the classes.
        classes: of each class, its photos in each split.
        near_duplicates: among the photos that are measured.
        custom: what became of the rows appended to the catalogue.
        problems: what was left out, and why.
    """

    sources: tuple[str, ...] = ()
    fingerprint: str = ""
    photos: int | None = None
    in_scope: int | None = None
    classes: dict[str, dict[str, int]] = {}
    near_duplicates: NearDuplicates | None = None
    custom: CustomPhotos | None = None
    problems: tuple[str, ...] = ()

    @property
    def is_unknown(self) -> bool:
        """Whether nothing is known."""
        return self == DataReport()
