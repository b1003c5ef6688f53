"""Characters that no writer meant, code that breaks off, and what is said over and over."""

from __future__ import annotations

from typing import Any

import pytest

from seodang.data.filters import Broken, Repeated
from seodang.records import Conversation, Message, Preference, Record, Text


def talk(*contents: str) -> Conversation:
    """Contents by turns: user, assistant, user, …"""
    return Conversation(tuple(Message(("user", "assistant")[i % 2], text) for i, text in enumerate(contents)), "a:1")


STORY = "옛날 어느 마을에 부지런한 농부가 살았습니다. 그는 해가 뜨기 전에 일어나 밭을 갈고 저녁이면 책을 읽었습니다. "
CODE = "이렇게 쓰세요.\n```python\nprint('안녕')\n"

CASES: list[tuple[Any, Record, str | None]] = [
    (Broken(), talk("수도는?", "서울입니다."), None),
    (Broken(), talk("수도는?", "서\ufffd입니다."), "broken"),
    (Broken(), talk("수\ufffd는?", "서울입니다."), "broken"),
    (Broken(), talk("수도는?", "\u00ec\u009e\u0088\u00ec\u008a\u00b5"), "broken"),
    (Broken(), talk("수도는?", "ë¤ì음과 같습니다"), None),  # letters alone may be French
    (Broken(), talk("수도는?", "\u00ec\u00a0\u00b4 글"), "broken"),
    (Broken(), talk("프랑스어로 어머니는?", "La mère de l’élève, où êtes-vous ?"), None),
    (Broken(), talk("줄\x85바꿈?", "네."), None),
    (Broken(), talk("코드는?", CODE), "broken"),
    (Broken(), talk("코드는?", f"{CODE}```"), None),
    (Broken(), Preference((Message("user", "코드는?"),), (Message("assistant", "없음"),), (Message("assistant", CODE),)), None),
    (Broken(), Text("\x93글\x94"), "broken"),
    (Repeated(), talk("이야기해 줘", STORY), None),
    (Repeated(), talk("이야기해 줘", STORY + "그리고 다시 " * 12), "repeated"),
    (Repeated(), talk("이야기해 줘", " ".join(f"{n}번" for n in range(90)) + " 그리고 다시" * 12), "repeated"),
    (Repeated(), talk("이야기해 줘", "감사합니다." * 9), "repeated"),
    (Repeated(), talk("이야기해 줘", (STORY.strip() + "\n") * 3), "repeated"),
    (Repeated(), talk("이야기해 줘", (STORY.strip() + "\n") * 2), None),
    (Repeated(times=20), talk("이야기해 줘", STORY + "그리고 다시 " * 12), None),
    (Repeated(), talk("‘감사합니다’를 아홉 번 반복해 줘", "감사합니다." * 9), None),
    (Repeated(), talk("웃겨?", "ㅋㅋㅋㅋㅋㅋㅋㅋㅋㅋㅋㅋㅋㅋㅋㅋㅋㅋㅋㅋㅋㅋㅋㅋㅋㅋㅋㅋㅋㅋㅋㅋ"), None),
    (Repeated(), talk("표로", "| 가 | 나 |\n|----|----|\n----------------------------------------"), None),
    (Repeated(), talk("원주율은?", "3.33333333333333333333333333333333333333333"), None),
    (Repeated(), talk("어때?", "정말 정말 좋았어요. 네, 네, 아주 좋았어요."), None),
    (Repeated(), Text("아이고 아이고 아이고 아이고 아이고 아이고"), "repeated"),
]  # fmt: skip


@pytest.mark.parametrize(("one", "record", "reason"), CASES)
def test_reasons(one: Any, record: Record, reason: str | None) -> None:
    assert one.reason(record) == reason
