"""Measurements of the services beyond the benchmark."""
