"""Vision-language models behind one protocol: frozen vision, cached features, LoRA on the LM."""
