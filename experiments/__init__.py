"""Measurements of this repository itself. No other package imports this one."""
