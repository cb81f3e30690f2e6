"""The bundle: what training publishes and everything else reads.

The only package that `training`, `serving` and `load_testing` share. It imports none of them, and needs msgspec only.
"""
