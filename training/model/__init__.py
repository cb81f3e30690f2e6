"""The pipeline, its cross-validation, its scores and its fit."""
