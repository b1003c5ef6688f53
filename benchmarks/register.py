"""How well speech levels are told: SmileStyle's formal and informal columns, 600 sentences of ours, and web text.

    python benchmarks/register.py [--data ../shared/data]

Rows and sentences of even content hash were there to develop on; the other half is what counts. Prints the tables with
every row that was called wrong, and writes benchmarks/results/<date>-register.json.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from seodang.korean.register import POLITE, is_polite, register_of, sentences
from seodang.machine import git_state, hardware, versions

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
SENTENCES = ROOT / "tests" / "korean" / "register_sentences.tsv"
HALVES = ("developed on", "reported")
SAYS = {"formal": True, "informal": False}


def half(text: str) -> str:
    """Which half a row belongs to, by the last bit of its BLAKE2b hash."""
    return HALVES[hashlib.blake2b(text.encode(), digest_size=8).digest()[-1] % 2]


def rows(path: Path) -> Iterator[tuple[str, str]]:
    """(register, sentence) of a table of ours."""
    for line in path.read_text(encoding="utf-8").splitlines():
        register, sentence = line.split("\t")
        yield register, sentence


def macro_f1(pairs: Sequence[tuple[str, str]]) -> tuple[float, dict[str, float]]:
    """The mean of the F1 of each class, and these, over (true, found)."""
    right = Counter(true for true, found in pairs if true == found)
    trues, founds = Counter(true for true, _ in pairs), Counter(found for _, found in pairs)
    scores = {one: 2 * right[one] / (trues[one] + founds[one]) for one in sorted(trues)}
    return sum(scores.values()) / len(scores), scores


def written_here() -> dict[str, Any]:
    """Macro-F1 on the sentences of ours, by half."""
    found: dict[str, Any] = {}
    judged = [(half(text), true, register_of(text), text) for true, text in rows(SENTENCES)]
    for name in HALVES:
        part = [(true, register) for which, true, register, _ in judged if which == name]
        score, by_class = macro_f1(part)
        wrong = [f"{text}  ({true}, called {r})" for which, true, r, text in judged if which == name and true != r]
        found[name] = {"n": len(part), "macro_f1": score, "f1": by_class, "wrong": wrong}
    return found


def smilestyle(path: Path) -> dict[str, Any]:
    """Of the formal rows those called polite, of the informal ones those not called polite, by half."""
    names, *lines = (line.split("\t") for line in path.read_text(encoding="utf-8").splitlines())
    found: dict[str, Any] = {name: {} for name in HALVES}
    for column, polite in SAYS.items():
        for name in HALVES:
            part = [
                dict(zip(names, line, strict=False)).get(column, "") for line in lines if half("\t".join(line)) == name
            ]
            judged = [(text, is_polite(text)) for text in part if text.strip()]
            wrong = [text for text, verdict in judged if (verdict is True) is not polite]
            found[name][column] = {
                "n": len(judged),
                "right": 1 - len(wrong) / len(judged),
                "no_ending": sum(verdict is None for _, verdict in judged),
                "wrong": wrong,
            }
    return found


def web_text(path: Path) -> dict[str, Any]:
    """How many sentences of news are of which level, and every one that is called polite, to be read."""
    counts: Counter[str] = Counter()
    polite = []
    for line in path.read_text(encoding="utf-8").splitlines():
        for sentence in sentences(json.loads(line)["text"]):
            register = register_of(sentence)
            counts[register] += 1
            if POLITE.get(register):
                polite.append(f"{register}: …{sentence[-60:]}")
    return {"n": sum(counts.values()), "counts": dict(counts), "called_polite": polite}


def show(results: dict[str, Any]) -> None:
    """The tables, for a terminal."""
    for name, part in results["written_here"].items():
        print(f"sentences of ours, {name}: n {part['n']}, macro-F1 {part['macro_f1']:.4f}")
        print("   " + "  ".join(f"{one} {score:.3f}" for one, score in part["f1"].items()))
        print(*(f"   {line}" for line in part["wrong"]), sep="\n")
    for name, columns in results.get("smilestyle", {}).items():
        for column, part in columns.items():
            print(
                f"SmileStyle {column}, {name}: n {part['n']}, right {part['right']:.4f}, no ending {part['no_ending']}"
            )
            print(*(f"   {line}" for line in part["wrong"]), sep="\n")
    if "web_text" in results:
        web = results["web_text"]
        print(f"web text: n {web['n']}, {web['counts']}; called polite:")
        print(*(f"   {line}" for line in web["called_polite"]), sep="\n")


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    data = parser.parse_args().data
    results: dict[str, Any] = {"written_here": written_here()}
    if data.is_dir():
        results["smilestyle"] = smilestyle(data / "ko" / "smilestyle.tsv")
        results["web_text"] = web_text(data / "ko" / "web_text_0.jsonl")
    show(results)
    today = datetime.date.today().isoformat()
    record = {
        "benchmark": "register",
        "date": today,
        "hardware": hardware(),
        "git": git_state(),
        "versions": versions(),
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{today}-register.json"
    # rows of other people's files are shown and not kept
    kept = _without_rows(results)
    path.write_text(json.dumps(record | {"results": kept}, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    print(f"written to {path.relative_to(ROOT)}")
    return 0


def _without_rows(found: Any) -> Any:
    if isinstance(found, dict):
        return {
            key: len(value) if key in ("wrong", "called_polite") else _without_rows(value)
            for key, value in found.items()
        }
    return found


if __name__ == "__main__":
    sys.exit(main())
