"""The phases, and a predictor for use from Python."""

from runner.setup import load_predictor

__all__ = ["load_predictor"]
