"""Korean text: repaired, masked, judged and completed, by pure functions of one text that any engine can map.

    normalize("한글&nbsp;ＡＢＣ")     ("한글 ABC", {"html_entity": 1, "space": 1, "full_width": 1})
    register_of("학교에 갔어요.")      "haeyo": one of hapsyo, haeyo, hae, haera, hao, hage, nominal, none
    hangul_share("안녕 hi")           0.5 of the letters, code, LaTeX and web addresses left out
    josa("3km", "을/를")              "를"; where nobody can know, "을(를)"
    mask_pii("010-1234-5678로")       the text with stars, and what was found

Each docstring gives units, errors and source. Nothing here imports more than the standard library, but for ftfy (texts
that were decoded wrongly) and PyYAML (the table of readings), each when it is first needed.
"""

from __future__ import annotations

from seodang.korean.josa import josa
from seodang.korean.normalize import normalize
from seodang.korean.pii import mask_pii
from seodang.korean.register import register_of
from seodang.korean.script import hangul_share

__all__ = ["hangul_share", "josa", "mask_pii", "normalize", "register_of"]
