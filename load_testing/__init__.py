"""Load tests: every answer is checked against the bundle's reference predictions while the load is on.

This package knows only HTTP and the bundle: it imports neither training nor serving.
"""
