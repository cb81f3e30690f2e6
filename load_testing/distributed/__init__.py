"""What Locust's own master and workers need so that a run of several processes or machines has one honest result.

Workers must have the master's bundle before they get users, send what they measured as histograms, and say at the end
that they have said everything; the master merges, and reports who was lost. A single process is its own worker.
"""
