"""The offline trainer: from a catalogue of product photos to a run folder. `python -m train --help`."""

import core as core  # before ONNX Runtime, which it keeps from reporting
