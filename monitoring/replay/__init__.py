"""Recorded rows again, through a model or a running service, and compared with the recorded answers."""
