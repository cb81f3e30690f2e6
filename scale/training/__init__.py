"""Training on partitioned Parquet files, on one machine or a Dask cluster."""
