"""The offline trainer: from a catalogue of product photos to a run folder. `python -m train --help`."""

import core  # noqa: F401  before ONNX Runtime, which it keeps from reporting
