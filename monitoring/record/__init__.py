"""Reading what services have recorded."""
