"""The search for parameters, and the choice among its trials."""
