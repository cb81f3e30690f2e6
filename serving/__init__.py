"""One web application, and the two predictors that it serves a bundle with."""
