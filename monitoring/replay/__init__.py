"""Replay recorded rows through a model or a running service, and compare with the recorded answers."""
