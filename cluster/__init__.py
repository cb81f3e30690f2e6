"""How a command's work is spread over a Dask cluster: connect, see that all run the same code, collect in order."""
