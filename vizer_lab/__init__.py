"""The book's laboratory: a drawn world with exact truth, models trained on it, and its studies.

It stands on `vizer_core`, which never imports it. From the ground up:

- `world`: emoji scenes, their captions and questions, edits of captions; `costs`: what a plan costs
- `zoo`: every shipped model, and how to train it again; `figures`: the book's own figures
- `studies`: what chapters and experiments work on, on either profile
- `command`: the command `vizer lab`
"""
