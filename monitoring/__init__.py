"""What recorded traffic shows: whether models and services still answer alike (replay), and how rows change (drift)."""
