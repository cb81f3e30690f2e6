"""From a fitted model to a proven, published bundle."""
