"""What do unlabelled images buy? Look, train where it is expected to add something, and say so.

- `ways`: the ways of captioning that are tried, and what each costs
- `bench`: images with their views; captions of a way and their label-free scores: a rung
- `gate`: when to refuse: too few images, random weights, collapse; does training add anything?
- `climb`: which first word or prompt, and which rung in the end
- `training`: the trainer, its settings by the model's size, and what is watched on the way
- `job`: the whole as one job that can be stopped and goes on: `vizer improve`, `vc.improve`
- `outcome`: what came of it, as `report.json` contains it
- `page`, `figures`, `card`: `report.html`, its figures, and the adapter's README.md
"""
