"""The bundle: what training publishes and everything else reads; and how every package records its results.

The only package that `training`, `serving` and `load_testing` share. It imports none of them, and needs only msgspec.
"""
