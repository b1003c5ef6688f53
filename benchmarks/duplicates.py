"""How well duplicates are told from rows that only look alike: 2,000 planted pairs, and sentence pairs of STS sets.

    python benchmarks/duplicates.py FOLDER [--pairs 2000] [--seed 0] [--show 5]

FOLDER holds public Korean files (chatbot_data.csv, kullm_style_*.jsonl, kochatgpt_ppo.jsonl, preference_mk4.jsonl and,
for the second table, klue_sts_dev.json and korsts_test.tsv). A pair is a row and a changed copy of it: spacing,
punctuation, particle, ending, typing error and word order make duplicates; a number, a name, a negation or another word
in a slot make two rows. All pairs lie among all rows, so that a pair counts as found only where the index finds it.
Prints both tables and writes benchmarks/results/<date>-duplicates.json.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import json
import random
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from seodang.data.agreement import same
from seodang.data.dedup import spelt
from seodang.data.fingerprints import fingerprint
from seodang.data.near import repeats
from seodang.korean.jamo import FINALS, INITIALS, VOWELS, final_consonant, is_syllable, join, split
from seodang.machine import git_state, hardware, versions
from seodang.records import Conversation, Message, Prompt, Record, Text

RESULTS = Path(__file__).resolve().parent / "results"
RECALL, FALSE = 0.98, 0.01
WORD = re.compile("[가-힣]+")
NAMES = "철수 영희 민수 지영 현우 서연 도윤 하은 준호 수빈 지훈 예린 태현 나연 성민 가영 동욱 혜진 상우 미란"
NOUN_PARTICLES = {
    "은": "이",
    "는": "가",
    "이": "은",
    "가": "는",
    "을": "은",
    "를": "는",
    "에게": "한테",
    "와": "랑",
    "과": "이랑",
}
ENDINGS = (
    "해줘>해주세요|해 줘>해 주세요|해줘>하시오|해주세요>해줘|하세요>하십시오|주세요>주십시오|입니다>이에요"
    "|합니다>해요|합니다>한다|했습니다>했어요|했어요>했습니다|있습니다>있어요|있어요>있습니다|있다>있습니다"
    "|했어>했어요|했다>했습니다|됩니다>돼요|인가요>입니까|무엇인가요>무엇입니까|있나요>있습니까|하나요>합니까"
    "|할까요>할까|할까>할까요|같아요>같습니다|같아>같아요|싶어>싶어요|싶다>싶어요|네요>네|이에요>입니다"
    "|돼요>됩니다|좋아요>좋습니다|보세요>보십시오|었어>었어요|았어>았어요|야 해>야 해요|뭐야>뭐예요|는데>는데요"
    "|거예요>겁니다"
)
NEGATIONS = (
    "합니다>하지 않습니다|있습니다>없습니다|수 있>수 없|있어>없어|있나요>없나요|해요>하지 않아요"
    "|하세요>하지 마세요|해줘>하지 말아 줘|싶어>싶지 않아|좋아>좋지 않아|했어>안 했어|갔>못 갔|합니다>안 합니다"
    "|됩니다>안 됩니다|돼>안 돼|먹>안 먹|했>못 했|와요>안 와요|입니다>이 아닙니다"
)
KEYS = "ㅂㅈ ㅈㄷ ㄷㄱ ㄱㅅ ㅁㄴ ㄴㅇ ㅇㄹ ㄹㅎ ㅋㅌ ㅌㅊ ㅊㅍ ㅛㅕ ㅕㅑ ㅑㅐ ㅐㅔ ㅗㅓ ㅓㅏ ㅏㅣ ㅠㅜ ㅜㅡ"
SOUNDS = "ㅂㅃ ㅈㅉ ㄷㄸ ㄱㄲ ㅅㅆ ㅙㅚ ㅙㅞ ㅒㅖ ㅢㅣ"
SLIPS = {frozenset(pair) for pair in f"{KEYS} {SOUNDS}".split()}
Change = Callable[[str, random.Random], str | None]


def _pairs(table: str) -> list[tuple[str, str]]:
    return [(pair.split(">")[0], pair.split(">")[1]) for pair in table.split("|")]


def texts_of(folder: Path) -> Iterator[tuple[str, str]]:
    """(prompt, answer) of every row; a prompt alone has an empty answer."""
    with (folder / "chatbot_data.csv").open(encoding="utf-8-sig", newline="") as file:
        yield from ((row["Q"], row["A"]) for row in csv.DictReader(file))
    for path in sorted(folder.glob("kullm_style_*.jsonl")):
        rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
        yield from ((row["instruction"], row["output"]) for row in rows)
    for line in (folder / "preference_mk4.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        yield row["prompt"], row["chosen"]
    yield from ((row["prompt"], "") for row in json.loads((folder / "kochatgpt_ppo.jsonl").read_text("utf-8-sig")))


def record_of(prompt: str, answer: str, source: str) -> Record:
    """A prompt with or without its answer."""
    asked = Message("user", prompt)
    return Conversation((asked, Message("assistant", answer)), source) if answer else Prompt((asked,), source)


class Planter:
    """Changes of a text, by kind; None where a text has nothing to change."""

    def __init__(self, texts: Sequence[str]) -> None:
        particles: dict[str, Counter[str]] = defaultdict(Counter)
        for text in texts:
            for word in WORD.findall(text):
                for particle in ("을", "를", "이", "가", "은", "는", "에서", "에게", "의", "와", "과"):
                    if word.endswith(particle) and len(word) > len(particle) + 1:
                        particles[word.removesuffix(particle)][particle] += 1
        self.nouns = sorted(noun for noun, found in particles.items() if len(found) > 2 and sum(found.values()) > 4)
        """Words that stand before three different particles: nouns, in all likelihood."""
        self._known = frozenset(self.nouns)

    def spacing(self, text: str, draw: random.Random) -> str | None:
        """One to three spaces fewer or more."""
        for _ in range(draw.randint(1, 3)):
            at = [
                i
                for i in range(1, len(text) - 1)
                if text[i] == " " or (is_syllable(text[i - 1]) and is_syllable(text[i]))
            ]
            if not at:
                return None
            place = draw.choice(at)
            text = text[:place] + (text[place + 1 :] if text[place] == " " else " " + text[place:])
        return text

    def punctuation(self, text: str, draw: random.Random) -> str | None:
        """Another sentence mark at the end, or none."""
        plain = text.rstrip(" .!?~…")
        changed = plain + draw.choice(["", ".", "!", "?", "~", "…", ".."])
        return changed if plain and is_syllable(plain[-1]) else None

    def particle(self, text: str, draw: random.Random) -> str | None:
        """Another particle after a noun, or none."""
        found = [(one, p) for one in WORD.finditer(text) for p in NOUN_PARTICLES
                 if one[0].endswith(p) and one[0].removesuffix(p) in self._known]  # fmt: skip
        if not found:
            return None
        word, particle = draw.choice(found)
        new = "" if particle in "을를" and draw.random() < 0.5 else NOUN_PARTICLES[particle]
        return text[: word.end() - len(particle)] + new + text[word.end() :]

    def ending(self, text: str, draw: random.Random) -> str | None:
        """Another politeness at the end of a sentence."""
        found = [(one, new) for old, new in _pairs(ENDINGS) for one in re.finditer(rf"{old}(?=[.!?~]|$|\n)", text)]
        if not found:
            return None
        place, new = draw.choice(found)
        return text[: place.start()] + new + text[place.end() :]

    def typo(self, text: str, draw: random.Random) -> str | None:
        """A neighbouring key, a letter that sounds alike, a lost final consonant, two syllables that changed places."""
        words = [one for one in WORD.finditer(text) if len(one[0]) > 2]
        if not words:
            return None
        one = draw.choice(words)
        word = list(one[0])
        if draw.random() < 0.15:
            at = draw.randrange(len(word) - 1)
            word[at], word[at + 1] = word[at + 1], word[at]
        else:
            at = draw.randrange(len(word))
            word[at] = _slip(word[at], draw)
        changed = "".join(word)
        return None if changed == one[0] else text[: one.start()] + changed + text[one.end() :]

    def order(self, text: str, draw: random.Random) -> str | None:
        """Two neighbouring words change places, not over the end of a sentence."""
        words = re.split(r"( +)", text)
        places = [at for at in range(0, len(words) - 4, 2)
                  if all(WORD.fullmatch(words[at + i]) for i in (0, 2)) and words[at] != words[at + 2]]  # fmt: skip
        if not places:
            return None
        at = draw.choice(places)
        words[at], words[at + 2] = words[at + 2], words[at]
        return "".join(words)

    def number(self, text: str, draw: random.Random) -> str | None:
        """Another number, in digits or in words."""
        counts = ["한", "두", "세", "네", "다섯", "여섯", "일곱", "여덟", "아홉", "열"]
        found = [
            *re.finditer(r"\d+", text),
            *re.finditer(f"(?<= )({'|'.join(counts)})(?= (?:가지|개|명|번|달|시|권|곳))", text),
        ]
        if not found:
            return None
        one = draw.choice(found)
        value = str(int(one[0]) + draw.randint(1, 9)) if one[0].isdigit() else draw.choice(sorted({*counts} - {one[0]}))
        return text[: one.start()] + value + text[one.end() :]

    def negation(self, text: str, draw: random.Random) -> str | None:
        """What is becomes what is not."""
        found = [(one, new) for old, new in _pairs(NEGATIONS) for one in re.finditer(old, text)]
        if not found:
            return None
        place, new = draw.choice(found)
        return text[: place.start()] + new + text[place.end() :]

    def slot(self, text: str, draw: random.Random, others: Sequence[str] = ()) -> str | None:
        """Another noun."""
        found = [
            (one, noun) for one in WORD.finditer(text) for noun in {one[0], one[0][:-1], one[0][:-2]} & self._known
        ]
        if not found:
            return None
        word, noun = draw.choice(sorted(found, key=lambda pair: (pair[0].start(), pair[1])))
        new = draw.choice([other for other in others or self.nouns if other != noun])
        return text[: word.start()] + new + text[word.start() + len(noun) :]


def _slip(syllable: str, draw: random.Random) -> str:
    first, vowel, *final = split(syllable)
    if final and draw.random() < 0.2:
        return join(first, vowel)
    last = final_consonant(syllable)
    choices = [join(x, vowel, *final) for x in INITIALS if frozenset((x, first)) in SLIPS]
    choices += [join(first, x, *final) for x in VOWELS if frozenset((x, vowel)) in SLIPS]
    choices += [join(first, vowel, x) for x in FINALS if x and last and frozenset((x, last)) in SLIPS]
    return draw.choice(choices) if choices else syllable


DUPLICATES = ("spacing", "punctuation", "particle", "ending", "typo", "order")
DIFFERENT = ("number", "name", "negation", "slot")


def plant(rows: Sequence[tuple[str, str]], count: int, seed: int) -> list[tuple[str, Record, Record]]:
    """(kind, row, changed copy); every kind as often. A change falls on the prompt or on the answer."""
    draw, planter = random.Random(seed), Planter([text for row in rows for text in row])
    kinds, found, seen = (*DUPLICATES, *DIFFERENT), list[tuple[str, Record, Record]](), set[int]()
    for number in range(count):
        kind = kinds[number % len(kinds)]
        while True:
            at = draw.randrange(len(rows))
            texts = list(rows[at])
            side = draw.randrange(2 if texts[1] else 1)
            old = list(texts)
            if kind == "name":
                first, second = draw.sample(NAMES.split(), 2)
                made = planter.slot(texts[side], random.Random(number), [first])
                texts[side], old[side] = planter.slot(texts[side], random.Random(number), [second]) or "", made or ""
            else:
                change: Change = getattr(planter, kind)
                texts[side] = change(texts[side], draw) or ""
            if texts[side] and at not in seen and texts != old:
                break
        seen.add(at)
        found.append((kind, record_of(*old, f"{number}a"), record_of(*texts, f"{number}b")))  # type: ignore[call-arg]
    return found


def planted(folder: Path, count: int, seed: int, show: int) -> dict[str, dict[str, float]]:
    """By kind of change: how many pairs, and the share that was called duplicate."""
    rows = list(dict.fromkeys(texts_of(folder)))
    pairs = plant(rows, count, seed)
    others = [record_of(*row, f"row {number}") for number, row in enumerate(rows)]
    records = [*(pair[1] for pair in pairs), *(pair[2] for pair in pairs), *others]
    texts = [spelt(record) for record in records]
    # the changed copies are looked up among all others; what a copy repeats must say what its original says
    found = repeats(fingerprint(records), texts.__getitem__)
    results: dict[str, Counter[str]] = defaultdict(Counter)
    for at, (kind, old, new) in enumerate(pairs):
        original, copy = at, at + len(pairs)
        group = found.of[original] if found.of[original] >= 0 else original
        called = bool(found.of[copy] == group or found.of[copy] == original)
        results[kind].update(pairs=1, called=called)
        if called != (kind in DUPLICATES) and show > 0:
            show -= 1
            print(f"  {kind}: {_changes(spelt(old), spelt(new))}")
    return {
        kind: {"pairs": one["pairs"], "called": round(one["called"] / one["pairs"], 4)} for kind, one in results.items()
    }


def _changes(old: str, new: str) -> str:
    """Where two texts differ, with a little around it."""
    one = next((at for at, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    return f"({len(old)}) {old[max(0, one - 15) : one + 15]!r} -> {new[max(0, one - 15) : one + 15]!r}"


def similarity(folder: Path) -> dict[str, dict[str, dict[str, float]]]:
    """By data set and rounded label (0 to 5): how many sentence pairs, and the share that is called duplicate."""
    klue = json.loads((folder / "klue_sts_dev.json").read_text(encoding="utf-8"))
    lines = [line.split("\t") for line in (folder / "korsts_test.tsv").read_text(encoding="utf-8").splitlines()[1:]]
    sets = {
        "KLUE-STS dev": [(one["labels"]["label"], one["sentence1"], one["sentence2"]) for one in klue],
        "KorSTS test": [(float(one[4]), one[5], one[6]) for one in lines],
    }
    tables: dict[str, dict[str, dict[str, float]]] = {}
    for name, pairs in sets.items():
        counts: dict[int, Counter[str]] = defaultdict(Counter)
        for label, left, right in pairs:
            called = same(spelt(Text(left)), spelt(Text(right)))
            counts[int(min(5, label))].update(pairs=1, called=called)
        tables[name] = {
            f"{label}-{label + 1}" if label < 5 else "5": {
                "pairs": one["pairs"],
                "called": round(one["called"] / one["pairs"], 4),
            }
            for label, one in sorted(counts.items())
        }
    return tables


def main() -> int:
    """Measure, print, write. Returns 1 where a limit is broken."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path, nargs="?", help="public Korean files; without them nothing is measured")
    parser.add_argument("--pairs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--show", type=int, default=0, help="print so many pairs that were judged wrongly")
    parser.add_argument("--dry", action="store_true", help="write nothing")
    given = parser.parse_args()
    if given.folder is None:
        print("no FOLDER with public files was given: nothing to measure")
        return 0
    kinds = planted(given.folder, given.pairs, given.seed, given.show)
    for kind, one in kinds.items():
        print(f"{kind:<14}{one['pairs']:>6,.0f} pairs{one['called']:>9.1%} called duplicate")
    totals: dict[str, Any] = {}
    for name, group in (("recall", DUPLICATES), ("false", DIFFERENT)):
        pairs = sum(kinds[kind]["pairs"] for kind in group)
        totals[name] = round(sum(kinds[kind]["called"] * kinds[kind]["pairs"] for kind in group) / pairs, 4)
        print(f"{name:<14}{pairs:>6,.0f} pairs{totals[name]:>9.2%}")
    tables = similarity(given.folder)
    for name, table in tables.items():
        print(f"\n{name}\n" + "\n".join(f"  {k:<6}{v['pairs']:>6} pairs{v['called']:>9.1%}" for k, v in table.items()))
    if not given.dry:
        today = datetime.date.today().isoformat()
        record = {
            "benchmark": "duplicates",
            "date": today,
            "hardware": hardware(),
            "git": git_state(),
            "versions": versions(),
        }
        RESULTS.mkdir(exist_ok=True)
        text = json.dumps(
            record | {"seed": given.seed, "kinds": kinds, "totals": totals, "similarity": tables},
            ensure_ascii=False,
            indent=2,
        )
        (RESULTS / f"{today}-duplicates.json").write_text(text + "\n", encoding="utf-8")
    return int(totals["recall"] < RECALL or totals["false"] > FALSE)


if __name__ == "__main__":
    sys.exit(main())
