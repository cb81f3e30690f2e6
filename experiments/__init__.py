"""What this repository measures of itself. No other package imports it."""
