"""What README and docs claim, measured. Each is a command: `python -m benchmarks.<name> --help`."""

import core  # noqa: F401  before ONNX Runtime, which it keeps from reporting
