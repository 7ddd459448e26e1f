"""The errors this product raises on purpose.

Each message says what was wrong, what was found, and what to do next; pages and commands show it as it is.
"""


class GarmentError(Exception):
    """Base of every error whose message is meant for the person at the screen."""


class UnreadablePhoto(GarmentError):
    """The bytes are no photo we accept: damaged, too large, or of a format outside the allow-list."""


class InvalidRegion(GarmentError):
    """A region of interest lies outside its photo, or is too small to classify."""


class BrokenRun(GarmentError):
    """A run folder is missing, incomplete, damaged, or of a newer schema."""


class DetectorMissing(GarmentError):
    """Garments are to be found with a run that cannot find any."""


class UnknownClass(GarmentError):
    """A label is none of the run's classes."""


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
    """Strangers' files are not read: the kernel cannot confine the process that would, and the setting requires it."""
