"""One page of all reports: reads the result files of the other packages, and measures nothing itself."""
