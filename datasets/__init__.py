"""Data sets by the name of their layout."""

from datasets.freihand import FreiHANDTraining

TRAINING_SETS = {"FreiHAND": FreiHANDTraining}
