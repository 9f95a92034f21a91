"""The modality gap, text-only captioning and zero-label caption training, as a package.

Map, from the ground up (a folder imports only what stands above it in this list):

- `shapes`, `runtime`, `store`: axis names, device and profile, files that survive
- `data`, `metrics`: facts about the world; no neural nets
- `clip`: image and text features of any open_clip model
- `micro`, `gap`: the offline world of emoji scenes; the modality-gap analysis
- `evaluate`, `figures`: scores with intervals; the figures of the book
- `cli`: the command `vizer`
"""
