"""What chapters and experiments work on: models, images and truth, on either profile.

- `clip_study`: one encoder, its images and their captions; results that were recorded
- `caption_study`, `question_study`, `vlm_study`: captioners, questions, vision-language models
- `improvement_study`: what training without labels gave, over bases and objectives
- `metric_sensitivity`: what every caption metric does to edits, and how it follows the truth
"""
