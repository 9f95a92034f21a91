"""ViZer: a mapper from language states to visual features, and training without labels."""
