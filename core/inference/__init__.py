"""The network and its answers, without PyTorch where ONNX Runtime serves."""
