"""What this repository measures of itself. Nobody imports it."""
