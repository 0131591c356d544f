"""Transforms: what stands between sources and sinks; `operators` offers them by name."""
