"""Other model servers, for comparison: `make bench PEERS=1`.

Each answers `/predict` and `/predict/batch` with the code of `baselines/tutorial_onnx.py` on one ONNX Runtime thread:
only the servers differ. One process has the core, and requests aren't logged. Each runs in an
environment of its own, from `requirements/<name>.lock`.
"""
