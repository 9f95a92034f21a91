"""Training a captioner on text alone: noise, adaptor, training, sampling and filtering."""
