"""How machines are asked over SSH: reached, known, let in, and told what to run."""
