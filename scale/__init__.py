"""Training and scoring on files larger than memory, and on many machines."""
