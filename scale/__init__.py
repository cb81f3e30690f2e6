"""The same work on files larger than memory and on many machines."""
