"""Faster training steps; `tools/bench_step.py` measures the gain."""
