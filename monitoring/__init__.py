"""What recorded traffic says: the same answers from another model or service (replay), and other rows (drift)."""
