"""What can go wrong in a phase beside its input."""


class TrainingDivergedError(Exception):
    """A loss or the weights are not finite; the message is the report. `run.py` leaves with status 1."""
