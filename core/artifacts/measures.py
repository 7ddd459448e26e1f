"""What `metrics.json` of a run says, as typed records. docs/architecture.md explains each section.

Fields that a later version adds are ignored; what was not measured is None, empty, or a record without values.
"""

from __future__ import annotations

from core.artifacts.manifest import Record


class Rate(Record, frozen=True, kw_only=True):
    """A share in [0, 1] with its 95% Wilson interval; no value where there was nothing to measure, or only words were published."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    as_published: str | None = None


class Share(Rate, frozen=True, kw_only=True):
    """A rate with the number of photos that it is a share of."""

    n: int = 0


class CalibrationError(Record, frozen=True, kw_only=True):
    """Expected calibration error before and after dividing by the temperature."""

    bins: int
    before: float
    after: float


class MeasuredScope(Record, frozen=True, kw_only=True):
    """How well the in-scope score tells photos of the classes from others."""

    auroc: float | None = None
    other_products: int = 0
    true_positive_rate: float | None = None
    false_positive_rate: float | None = None
    kinds: dict[str, MeasuredScope] = {}


class ClassMeasures(Record, frozen=True, kw_only=True, rename={"name": "class"}):
    """Precision, recall and F1 of a class, with 95% Wilson intervals."""

    name: str
    support: int
    f1: float | None = None
    precision: float | None = None
    precision_low: float | None = None
    precision_high: float | None = None
    recall: float | None = None
    recall_low: float | None = None
    recall_high: float | None = None


class Split(Record, frozen=True, kw_only=True):
    """Measures of the test or validation photos."""

    photos: int | None = None
    accuracy: Rate = Rate()
    macro_f1: float | None = None
    top3_accuracy: Rate | None = None
    calibration_error: CalibrationError | None = None
    in_scope: MeasuredScope | None = None
    classes: tuple[ClassMeasures, ...] = ()


class CoarseLabel(Share, frozen=True, kw_only=True):
    """The share of a coarse label's photos that are predicted as a class that it allows."""

    label: str
    allowed: tuple[str, ...] = ()


class Coarse(Record, frozen=True, kw_only=True):
    """Measures of photos whose labels each allow one or several classes."""

    photos: int
    exact: Share
    allowed_set: Share
    calibration_error: float | None = None
    in_scope: MeasuredScope = MeasuredScope()
    labels: tuple[CoarseLabel, ...] = ()


class CoarseSplits(Record, frozen=True, kw_only=True):
    """Measures of one source of photos with coarse labels: phones, or worn garments."""

    test: Coarse | None = None
    validation: Coarse | None = None


class Condition(Record, frozen=True, kw_only=True):
    """Accuracy, and share in scope, of test photos that were changed in one way."""

    name: str
    accuracy: Rate
    in_scope: Rate


class Loss(Record, frozen=True, kw_only=True):
    """The condition under which most is lost, and how much."""

    name: str
    value: float


class WorstLoss(Record, frozen=True, kw_only=True):
    """The largest losses over all conditions."""

    accuracy: Loss
    in_scope: Loss


class Robustness(Record, frozen=True, kw_only=True):
    """Measures of test photos that were changed."""

    photos: int
    conditions: tuple[Condition, ...]
    worst_loss: WorstLoss


class TypeRate(Share, frozen=True, kw_only=True):
    """The share of a product type's photos that are predicted as that type."""

    type: str


class AllTypes(Record, frozen=True, kw_only=True):
    """Measures over all product types, those of other products included."""

    types: int
    photos: int
    photos_of_types_without_output: int
    accuracy: Rate
    other_products: Rate | None = None
    top3_accuracy: float | None = None
    calibration_error: float | None = None
    by_type: tuple[TypeRate, ...] = ()


class Majority(Record, frozen=True, kw_only=True):
    """The most frequent value of an attribute."""

    value: str
    share: float


class AttributeValue(Share, frozen=True, kw_only=True):
    """The share of photos of an attribute's value that are predicted as such."""

    name: str


class AttributeHead(Record, frozen=True, kw_only=True):
    """Measures of one attribute."""

    photos: int
    shown: bool
    accuracy: Rate = Rate()
    majority: Majority | None = None
    given: float | None = None
    values: tuple[AttributeValue, ...] = ()


class Attributes(Record, frozen=True, kw_only=True):
    """Measures of what is said of a garment besides its class."""

    margin: float
    least_probability: float
    heads: dict[str, AttributeHead]


class StreetMeasures(Record, frozen=True, kw_only=True):
    """Garments found in street photos."""

    photos: int
    recall: Share
    allowed_class: Share
    precision: Share
    finds_a_photo: float


class SheetMeasures(Record, frozen=True, kw_only=True):
    """Products found on sheets of two."""

    recall: Share


class PhoneMeasures(Record, frozen=True, kw_only=True):
    """Phone photos with exactly one proposed box, which fits."""

    one_close_box: Share


class DetectorMeasures(Record, frozen=True, kw_only=True):
    """How well the detector finds garments."""

    street: StreetMeasures
    sheets: SheetMeasures
    phone: PhoneMeasures


class Detector(Record, frozen=True, kw_only=True):
    """Measures of the detector on each split."""

    test: DetectorMeasures | None = None


class Mean(Record, frozen=True, kw_only=True):
    """A mean over photos with its 95% interval (normal)."""

    value: float
    low: float
    high: float


class Curve(Record, frozen=True, kw_only=True):
    """Mean probability of the predicted class at each share of the photo, and the area under the curve."""

    probabilities: tuple[float, ...]
    area: Mean


class Curves(Record, frozen=True, kw_only=True):
    """Deletion and insertion of one way of making heat maps; of deletion a small area is good, of insertion a large one."""

    deletion: Curve
    insertion: Curve


class AreaDifferences(Record, frozen=True, kw_only=True):
    """Area of the heat maps as served minus that of plain Grad-CAM, photo by photo."""

    deletion: Mean
    insertion: Mean


class PointingGame(Record, frozen=True, kw_only=True):
    """How often the hottest point lies on the garment: of heat maps as served, of plain Grad-CAM, and the middle for comparison.

    `covered` is the share of the box or photo that the garment covers, which a point chosen at random would reach.
    """

    served: Share
    plain: Share
    middle: Share
    covered: float


class Pointing(Record, frozen=True, kw_only=True):
    """The pointing game on worn garments, in the garment's box and in the whole photo."""

    box: PointingGame
    photo: PointingGame


class HeatMaps(Record, frozen=True, kw_only=True):
    """How faithful the heat maps are. `percentiles` are the 0th to the 100th of the deletion areas of the maps as served."""

    photos: int
    shares: tuple[float, ...]
    served: Curves
    plain: Curves
    difference: AreaDifferences
    percentiles: tuple[float, ...]
    pointing: Pointing | None = None


class Latency(Record, frozen=True, kw_only=True):
    """Time of one photo's forward pass."""

    median_ms: float | None = None
    p95_ms: float | None = None
    rounds: int | None = None
    engine: str = ""
    processor: str = ""
    as_published: str | None = None


class PublishedTraining(Record, frozen=True, kw_only=True):
    """Totals that a publication gives instead of a history."""

    seconds: float | None = None
    images_per_second: float | None = None


class Metrics(Record, frozen=True, kw_only=True):
    """`metrics.json`."""

    test: Split = Split()
    validation: Split = Split()
    latency: Latency = Latency()
    phone: CoarseSplits = CoarseSplits()
    worn: CoarseSplits = CoarseSplits()
    robustness: Robustness | None = None
    detector: Detector = Detector()
    all_types: AllTypes | None = None
    attributes: Attributes | None = None
    heat_maps: HeatMaps | None = None
    training: PublishedTraining = PublishedTraining()
