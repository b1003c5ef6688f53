"""A template's leftovers, refusals, another's program, and bare lists."""

from __future__ import annotations

from typing import Any

import pytest

from seodang.data.filters import AiIdentity, Leftover, ListOnly, Refusal
from seodang.records import Conversation, Message, Preference, Prompt, Record, Text, Unpaired


def talk(*contents: str) -> Conversation:
    """Contents by turns: user, assistant, user, …"""
    return Conversation(tuple(Message(("user", "assistant")[i % 2], text) for i, text in enumerate(contents)), "a:1")


def pair(prompt: str, chosen: str, rejected: str) -> Preference:
    sides = (Message("user", prompt),), (Message("assistant", chosen),), (Message("assistant", rejected),)
    return Preference(*sides, "p:1")


HELP = "하지만 일반적으로는 아침에 물을 충분히 마시고 가볍게 걷는 것이 좋다고 알려져 있으니, 매일 같은 시각에 일어나 창을 열고 십 분쯤 몸을 풀어 보시기 바랍니다."
KEYWORDS = "1. 사과\n2. 배\n3. 감"

CASES: list[tuple[Any, Record, str | None]] = [
    (Leftover(), talk("수도는?", "서울입니다.\n\n### 질문: 인구는?\n### 답변: 천만 명입니다."), "leftover"),
    (Leftover(), talk("수도는?", "서울입니다.<|im_end|>\n부산은 항구입니다."), "leftover"),
    (Leftover(), talk("### 질문: 수도는?", "## 서울\n수도입니다. 질문: 더 있나요?"), None),
    (Leftover(), pair("수도는?", "서울", "몰라 ### Response(응답): 서울"), "leftover"),
    (Leftover(), Prompt((Message("user", "### 답변:"),)), None),
    (Refusal(), talk("오늘 날씨는?", "죄송하지만, 저는 실시간 날씨를 알 수 없습니다."), "refusal"),
    (Refusal(), talk("이 글을 요약해 줘", "죄송합니다. 주어진 글을 제가 읽을 수 없습니다."), "refusal"),
    (Refusal(), talk("도와줘", "도와드릴 수 없습니다."), "refusal"),
    (Refusal(), talk("Tell me.", "I'm sorry, but I cannot help with that."), "refusal"),
    (Refusal(), talk("건강 비결은?", f"죄송하지만 개인별로는 말씀드릴 수 없습니다. {HELP}"), None),
    (Refusal(max_rest=500), talk("건강 비결은?", f"죄송하지만 개인별로는 말씀드릴 수 없습니다. {HELP}"), "refusal"),
    (Refusal(), talk("꺼져", "죄송하지만, 혐오나 비난이 담긴 말은 받아들일 수 없습니다."), None),
    (Refusal(), talk("초대를 거절하는 글을 써 줘", "죄송하지만 그날은 갈 수 없습니다."), None),
    (Refusal(), talk("이 말을 높여 줘", "“죄송하지만 오늘은 갈 수 없습니다.”"), None),
    (Refusal(), talk("늦은 까닭은?", "눈이 와서 버스가 움직일 수 없었습니다."), None),
    (Refusal(), pair("오늘 날씨는?", "맑습니다.", "죄송하지만 답변드릴 수 없습니다."), None),
    (Refusal(), pair("오늘 날씨는?", "죄송하지만 답변드릴 수 없습니다.", "맑습니다."), "refusal"),
    (Refusal(), Unpaired((Message("user", "날씨는?"),), (Message("assistant", "답변드릴 수 없습니다."),), False), None),
    (AiIdentity(), talk("넌 누구야?", "저는 OpenAI에서 개발한 ChatGPT입니다."), "ai_identity"),
    (AiIdentity(), talk("넌 누구야?", "저는 오픈 어시스턴트입니다."), "ai_identity"),
    (AiIdentity(), talk("지금 대통령은?", "저는 2021년 9월까지의 데이터로 배운 도우미입니다."), "ai_identity"),
    (AiIdentity(), talk("GPT-3가 뭐야?", "GPT-3는 OpenAI에서 개발한 언어 모델입니다."), None),
    (AiIdentity(), talk("챗봇 이름은?", "그 챗봇의 이름은 ChatGPT입니다."), None),
    (AiIdentity(), talk("인구는?", "2021년까지의 자료에 따르면 천만 명입니다."), None),
    (AiIdentity(), talk("Who are you?", "I am a language model trained by OpenAI."), "ai_identity"),
    (AiIdentity(), talk("What is GPT?", "GPT is a program developed by OpenAI."), None),
    (AiIdentity(), talk("넌 누구야?", "저는 인공지능 챗봇으로서 몸이 없습니다."), None),
    (AiIdentity(which="any"), talk("넌 누구야?", "저는 인공지능 챗봇으로서 몸이 없습니다."), "ai_identity"),
    (AiIdentity(which="any"), talk("넌 누구야?", "AI 언어 모델로서 말씀드립니다."), "ai_identity"),
    (AiIdentity(which="any"), talk("넌 누구야?", "저는 ChatGPT라고 합니다."), "ai_identity"),
    (AiIdentity(which="any"), talk("ChatGPT가 뭐야?", "ChatGPT는 OpenAI라는 회사의 서비스입니다."), None),
    (AiIdentity(), pair("넌 누구야?", "도우미입니다.", "저는 ChatGPT입니다."), None),
    (ListOnly(), talk("과일은 왜 몸에 좋은가요?", KEYWORDS), "list_only"),
    (ListOnly(), talk("과일은 왜 몸에 좋은가요?", "- 맛\n- 향\n- 색"), "list_only"),
    (ListOnly(), talk("과일 세 가지를 말해 줘", KEYWORDS), None),
    (ListOnly(), talk("좋아하는 과일 목록은?", KEYWORDS), None),
    (ListOnly(), talk("맞는 말을 붙여 줘\n1. 붉다\n2. 달다\n3. 떫다", KEYWORDS), None),
    (ListOnly(), talk("과일은 왜 몸에 좋은가요?", "1. 사과\n2. 배"), None),
    (ListOnly(min_items=2), talk("과일은 왜 몸에 좋은가요?", "1. 사과\n2. 배"), "list_only"),
    (ListOnly(), talk("과일은 왜 몸에 좋은가요?", f"몸에 좋은 까닭이 있습니다.\n{KEYWORDS}"), None),
    (ListOnly(), talk("왜 좋은가요?", "\n".join(f"{n}. 과일에는 물과 섬유질이 많아서 소화를 돕고 몸을 가볍게 합니다." for n in (1, 2, 3))), None),
    (ListOnly(), Text(KEYWORDS), "list_only"),
]  # fmt: skip


@pytest.mark.parametrize(("one", "record", "reason"), CASES)
def test_reasons(one: Any, record: Record, reason: str | None) -> None:
    assert one.reason(record) == reason


ENDS = [
    ("### 답변: 서울입니다.", "서울입니다."),
    ("### 응답:\n서울입니다.\n\n### 질문:", "서울입니다."),
    ("서울입니다.<|im_end|>", "서울입니다."),
    ("<bot> ### Response: 서울입니다. </s>\n", "서울입니다."),
    ("답변: 서울입니다.", "서울입니다."),
    ("응답0: 서울입니다.", "서울입니다."),
    ("B: 서울입니다.</끝>", "서울입니다."),
    ("### 답변:", ""),
    ("서울입니다.", "서울입니다."),
    ("B: 5", "B: 5"),
    ("서울입니다.\n### 질문: 인구는?", "서울입니다.\n### 질문: 인구는?"),
    ("### 답변은 서울입니다:", "### 답변은 서울입니다:"),
]


@pytest.mark.parametrize(("answer", "clean"), ENDS)
def test_leftover_words_go_from_both_ends_of_an_answer(answer: str, clean: str) -> None:
    given = talk("### 질문: 수도는?", answer)
    record, times = Leftover().mend(given)
    assert record == talk("### 질문: 수도는?", clean)
    assert times == (answer != clean)
    assert Leftover().mend(record) == (record, 0)


def test_leftover_words_go_from_every_answer_of_any_record() -> None:
    said, clean = Message("assistant", "### 답변: 네."), Message("assistant", "네.")
    asked = Message("user", "### 답변: 라고 써 줘")
    assert Leftover().mend(Conversation((asked, said, asked, said))) == (Conversation((asked, clean, asked, clean)), 2)
    assert Leftover().mend(Preference((asked,), (said,), (clean,))) == (Preference((asked,), (clean,), (clean,)), 1)
    assert Leftover().mend(Unpaired((asked,), (said,), True)) == (Unpaired((asked,), (clean,), True), 1)
    assert Leftover().mend(Text("### 답변: 네.")) == (Text("### 답변: 네."), 0)
