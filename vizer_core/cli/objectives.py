"""The names of `vizer.named_objectives`, which a test compares: help is shown without torch."""

WITH_MAPPER = ("read_back", "straight_through", "image_context")
OBJECTIVES = ("information", *WITH_MAPPER, "self_training", "raft", "dpo")
WEIGHED = ("information", "raft", "dpo")  # those that an information reward is part of
WEIGHT = 0.7
