"""Raw labelled rows: where they come from, and what a model is fitted on."""
