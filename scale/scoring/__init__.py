"""Scoring files of any size with a bundle."""
