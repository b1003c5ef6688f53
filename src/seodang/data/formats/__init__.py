"""How a row is written: one class per format, each with `parse(row, source) -> Record`, and `auto`, which decides.

    alpaca             {"instruction", "input"?, "output"}, by their common names    → Conversation
    columns            named columns: {instruction: 질의, output: 답변}                 → Conversation
    messages           {"messages": [{"role", "content"}, …]}                        → Conversation
    sharegpt           {"conversations": [{"from", "value"}, …]}                     → Conversation
    alternating        {"conversations": ["질문", "답변", …]}                           → Conversation
    numbered           {"사람문장1", "시스템문장1", "사람문장2", …}                      → Conversation
    delimited          {"text": "### 질문: … ### 답변: …"}                              → Conversation
    instances          {"instruction", "instances": [{"input", "output"}, …]}        → Conversation each
    prompt_completion  {"prompt", "completion"}                                      → Conversation
    classification     {"text", "label"}, put into words by a verbaliser             → Conversation
    aihub              {"header", "body": [{"participantID", "utterance"}, …]}       → Conversation
    nikl               {"document": [{"utterance": [{"speaker_id", "form"}, …]}]}    → Conversation each
    pair               {"prompt", "chosen", "rejected"}: texts, turns, objects       → Preference
    better_id          {"prompt", "response_0", "response_1", "better_response_id"}  → Preference
    ranked             {"prompt", "completion_0", …, "ranking": [2, 0, 1]}           → Preference
    chosen             the better side of a `pair`                                   → Conversation
    prompt             {"prompt"}                                                    → Prompt
    text               {"text"}                                                      → Text

All turns are kept; a role that is not in data_formats/roles.yaml is an error, and so is a row without the answer it
should have. Columns that a format does not name (id, url, …) never become part of a prompt. What varies between sets
is data: the names of roles and columns, the layouts of texts and the verbalisers lie in data_formats/.

To add one: a class with `parse`, `fits` and `columns` in the file of its kind, and its name in the union in auto.py.
"""

from __future__ import annotations

from seodang.data.formats.auto import Auto, Decision, Format, Known, decide, expand, settle, written
from seodang.data.formats.classification import Classification
from seodang.data.formats.corpora import NIKL, AIHub
from seodang.data.formats.delimited import Delimited
from seodang.data.formats.dialogues import Alternating, Messages, Numbered, ShareGPT
from seodang.data.formats.instructions import Alpaca, ByColumns, Instances, PromptCompletion
from seodang.data.formats.preferences import BetterId, Chosen, Pair, Ranked
from seodang.data.formats.row_format import RowFormat
from seodang.data.formats.texts import PromptOnly, Text

__all__ = [
    "NIKL",
    "AIHub",
    "Alpaca",
    "Alternating",
    "Auto",
    "BetterId",
    "ByColumns",
    "Chosen",
    "Classification",
    "Decision",
    "Delimited",
    "Format",
    "Instances",
    "Known",
    "Messages",
    "Numbered",
    "Pair",
    "PromptCompletion",
    "PromptOnly",
    "Ranked",
    "RowFormat",
    "ShareGPT",
    "Text",
    "decide",
    "expand",
    "settle",
    "written",
]
