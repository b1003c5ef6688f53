"""The published shapes: as many parameters as the models' own cards say, and none for a model that nobody read."""

from __future__ import annotations

import pytest

from seodang.planning.architecture import architecture
from seodang.planning.published import published


@pytest.mark.parametrize(
    ("name", "parameters", "verified"),
    [
        ("EleutherAI/polyglot-ko-1.3b", 1_331_810_304, True),  # its model card, to the last
        ("Qwen/Qwen3-0.6B", 596_049_920, True),
        ("Qwen/Qwen3-8B", 8_190_735_360, True),
        ("upstage/SOLAR-10.7B-v1.0", 10_731_524_096, False),
    ],
)
def test_the_shape_gives_the_published_size(name: str, parameters: int, verified: bool) -> None:
    found = published(name)
    assert found is not None and found.source and found.verified is verified
    assert architecture(found.config, name).parameters == parameters


def test_nothing_is_made_up() -> None:
    assert published("kakaocorp/kanana-1.5-2.1b-instruct-2505") is None
