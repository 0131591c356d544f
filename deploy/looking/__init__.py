"""A first look at files at rest: what `thalweg look` finds and how it says so."""
