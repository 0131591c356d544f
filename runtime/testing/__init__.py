"""The public testing kit; `thalweg.testing` is its door."""
