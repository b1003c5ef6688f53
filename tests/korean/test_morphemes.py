"""Morphemes through the extra, and a paragraph where it is missing."""

from __future__ import annotations

import subprocess
import sys

import pytest

from seodang.errors import ModelError
from seodang.korean import morphemes as module
from seodang.korean.morphemes import Morpheme, available, content_words, each, morphemes

needs_kiwi = pytest.mark.skipif(not available(), reason="the extra [ko] is not installed")


@needs_kiwi
def test_morphemes_are_dictionary_forms_with_tags_and_places() -> None:
    found = morphemes("학교에 갔어요")
    assert found == [
        Morpheme("학교", "NNG", 0, 2),
        Morpheme("에", "JKB", 2, 3),
        Morpheme("가", "VV", 4, 5),
        Morpheme("었", "EP", 4, 5),
        Morpheme("어요", "EF", 5, 7),
    ]


@needs_kiwi
def test_content_words_leave_particles_and_endings_out() -> None:
    assert content_words("나는 어제 학교에 갔어요.") == content_words("나 어제 학교에서 가!")
    assert content_words("") == []


@needs_kiwi
def test_many_texts_keep_their_order() -> None:
    texts = ["하늘이 맑다", "비가 온다", ""]
    assert [[one.form for one in found][:1] for found in each(texts)] == [["하늘"], ["비"], []]


def test_a_missing_analyser_is_one_paragraph(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "available", lambda: False)
    module._kiwi.cache_clear()
    with pytest.raises(ModelError, match=r"kiwipiepy, which is not installed\. Install the extra with `pip install"):
        morphemes("글")


def test_korean_needs_no_analyser() -> None:
    code = (
        "import sys, seodang.korean, seodang.korean.morphemes; print('kiwipiepy' in sys.modules, 'ftfy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
