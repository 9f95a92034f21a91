"""Frozen causal language models fed by prefix embeddings."""
