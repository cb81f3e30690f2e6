"""What training and scoring ask of a Dask cluster."""
