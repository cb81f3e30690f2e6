"""From raw data to a published bundle: tune, fit, evaluate once, export, prove parity, publish."""
