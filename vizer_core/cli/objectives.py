"""The names of `vizer.named_objectives`, which a test compares: help is shown without torch."""

WITH_MAPPER = ("read_back", "straight_through", "image_context")
OBJECTIVES = ("information", *WITH_MAPPER)
WEIGHT = 0.7
