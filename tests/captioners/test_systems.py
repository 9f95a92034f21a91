"""The overview of systems against the classes themselves."""

from __future__ import annotations

from tiny_captioners import all_captioners

from vizer_core.captioners.systems import SYSTEMS, TRAINED_ROWS
from vizer_core.textonly import NoNoise


def test_the_overview_lists_every_captioner_once_and_says_what_it_reads():
    by_name = {system.name: system for system in SYSTEMS}
    assert len(by_name) == len(SYSTEMS)
    built = {type(c).__name__: c for name, c in all_captioners().items() if name in by_name}
    assert set(by_name) == {c.name for c in built.values()}
    for captioner in built.values():
        row = by_name[captioner.name]
        assert row.patches is captioner.reads_patches, row.name
        assert row.memory is hasattr(captioner, "memory"), row.name
        assert row.clip_reads_captions is hasattr(captioner, "encoder"), row.name


def test_trained_rows_follow_the_overview():
    by_name = {system.name: system for system in SYSTEMS}
    for name, row in TRAINED_ROWS.items():
        system = by_name[row.system]
        assert system.trained_on != "nothing", name
        assert (row.training.noise == NoNoise()) is (system.noise == "nowhere"), name
        assert row.training.train_language_model is name.endswith("fine_tuned"), name
        assert (row.training.tokens == 1) is (not system.name.startswith("maccap")), name
