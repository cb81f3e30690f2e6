"""The process around an application: start, workers, connections, reloads."""
