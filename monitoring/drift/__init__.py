"""Recorded rows against the distributions that a bundle holds."""
