"""MacCap and its baselines behind one interface: states in, captions out."""
