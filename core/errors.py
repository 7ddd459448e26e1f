"""The errors that this product raises on purpose.

Each message says what is wrong, what was found, and what to do next; pages and commands show it unchanged.
"""


class GarmentError(Exception):
    """Base of every error whose message is meant for the user."""


class UnreadablePhoto(GarmentError):
    """The bytes are not a photo that is accepted: damaged, too large, or of another format."""


class InvalidRegion(GarmentError):
    """A box lies outside its photo, or is too small to classify."""


class BrokenRun(GarmentError):
    """A run folder is missing, incomplete, damaged, or of a newer schema."""


class DetectorMissing(GarmentError):
    """The run has no detector, so it cannot find garments."""


class UnknownClass(GarmentError):
    """A label is not one of the run's classes."""


class InvalidConfig(GarmentError):
    """A recipe or a setting is wrong; the message lists every problem found, not only the first."""


class InvalidData(GarmentError):
    """A data set cannot be read or indexed."""


class TrainingStopped(GarmentError):
    """Training ended early on purpose (NaN loss, full disk, a second trainer); the run can be resumed."""


class UnwritableResults(GarmentError):
    """The files of a bulk classification cannot be written: the disk is full or read-only."""


class FeedbackUnavailable(GarmentError):
    """The file of visitors' corrections cannot be written or read."""


class Unconfined(GarmentError):
    """Visitors' files are not read: the kernel cannot confine the process that would read them, and the setting requires it."""


class Busy(GarmentError):
    """Too many visitors wait already; try again later."""


class QuotaReached(GarmentError):
    """A visitor, or all together, keep as much in the server's memory as is allowed."""
