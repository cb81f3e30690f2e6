"""All results on one page, and the recorded ones in the documentation."""
