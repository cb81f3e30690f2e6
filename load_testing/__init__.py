"""Load tests: every answer is checked against the bundle's reference predictions while the load is on.

Knows HTTP and the bundle only: neither training nor serving is imported.
"""
