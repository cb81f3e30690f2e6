"""The figures in the documentation: taken from committed result files, and written between markers in the Markdown."""
