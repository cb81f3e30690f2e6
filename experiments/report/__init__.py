"""The recorded results, in the documentation and on one page."""
