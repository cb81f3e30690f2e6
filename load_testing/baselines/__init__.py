"""The services that most people write first, for comparison. Only benchmarks start them.

They serve the same bundle over the same routes, in the manner of the public examples: a path function, pydantic models
for body and response, a session or a frame used as the library's introduction shows it. What they leave out (limits,
metrics, error bodies) makes them faster, not slower.
"""
