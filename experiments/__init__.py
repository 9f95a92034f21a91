"""Commands that make the files in `results/`; each says what it costs and can be stopped."""
