"""Caption metrics, one a file: pure functions over hypotheses and references or over features."""
