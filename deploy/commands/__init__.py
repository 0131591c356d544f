"""One file per command of `thalweg`; each offers `configure(parser)` and `execute(arguments)`."""

from __future__ import annotations
