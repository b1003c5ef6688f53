"""One offline HTML page per run: report.json, manifest.json, recipe.yaml and log.jsonl → report.html.

    rows          read = kept + dropped(by reason); also `requests` and `records`, and every source of `prepare`
    metrics       numbers, or per model numbers with `intervals` and `counts`
    figures       [{"step", …}] is a curve, [1, 2, …] or {"edges", "counts"} a histogram
    preview       {"views": […], "steps": {…}} as preview.py reads it, or the spans of one row
    samples       [{"prompt", "reference", "answers": {model: text}}], or {reason: [row]}
    licenses      [{"name", "revision", "license", "upstream", "rows", "forbids"}]
    warnings      sentences

What a report lacks is left out. Nothing is loaded from elsewhere, and text from data is text: Jinja escapes all of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seodang import runs
from seodang.language import Phrase, joined, label, language, say
from seodang.reports.charts import bin_values, curves, histogram
from seodang.reports.preview import environment, steps, views

if TYPE_CHECKING:
    from jinja2 import Template

FILE = "report.html"
LEDGERS = (("read", "kept", "dropped"), ("sent", "answered", "failed"), ("parsed", "kept", "rejected"))
"""(all, kept, lost by reason): the keys by which a dictionary is known to be a ledger."""
BESIDE = frozenset({"counts", "intervals", "tasks", "n"})
"""What a model's metrics hold beside the metrics themselves."""
NO_SAMPLE = {"prompt": "", "reference": ""}
SHOWN_ELSEWHERE = frozenset(
    {"rows", "metrics", "figures", "preview", "samples", "sources", "verdict", "licenses", "warnings"}
)


def write_report(run_path: Path) -> Path:
    """Write report.html of a run folder whole or not at all; returns its path. Files that are missing are left out."""
    recipe = run_path / runs.RECIPE
    text = recipe.read_text(encoding="utf-8") if recipe.exists() else ""
    report, manifest = runs.read_json(run_path / runs.REPORT) or {}, runs.manifest(run_path) or {}
    html = render(run_path.name, report, manifest, runs.read_log(run_path), text)
    runs.write_text(run_path / FILE, html.encode("utf-8", "replace").decode())  # half a surrogate pair is no UTF-8
    return run_path / FILE


def render(
    name: str, report: Mapping[str, Any], manifest: Mapping[str, Any], log: list[dict[str, Any]], recipe: str
) -> str:
    """The page as a string. `log` is drawn where the report has no figures of its own."""
    metrics = report.get("metrics") if isinstance(report.get("metrics"), dict) else {}
    models = {key: value for key, value in (metrics or {}).items() if isinstance(value, dict)}
    return _template().render(
        language=language(),
        name=name,
        stage=manifest.get("stage", ""),
        state=manifest.get("state", ""),
        verdict=verdict(report),
        facts=list(_facts(report, manifest)),
        ledgers=list(_ledgers(report)),
        numbers={key: value for key, value in (metrics or {}).items() if isinstance(value, (int, float, str))},
        models=models,
        model_rows=list(_model_rows(models)),
        tasks=list(_tasks(models)),
        tables={key: value for key, value in report.items() if key not in SHOWN_ELSEWHERE and _is_table(value)},
        licenses=[one for one in _list(report.get("licenses")) if isinstance(one, dict)],
        warnings=[str(one) for one in _list(report.get("warnings"))],
        figures=list(_figures(report.get("figures") or {"loss": log})),
        views=views(report.get("preview")),
        steps=steps(report.get("preview")),
        compared=[NO_SAMPLE | one for one in _list(report.get("samples")) if _is_comparison(one)],
        groups=_groups(report.get("samples")),
        recipe=recipe,
        manifest=runs.dump_json(manifest, indent=2) if manifest else "",
    )


@lru_cache
def _template() -> Template:
    made = environment()
    filters: dict[str, Any] = {
        "number": number,
        "reason": reason,
        "share": share,
        "turns": _turns,
        "bars": _bars,
        "cause": _cause,
    }
    made.filters |= filters
    return made.get_template("report.html.j2")


def verdict(report: Mapping[str, Any]) -> str:
    """The line to read first: the report's own, else what became of the rows and of the losses."""
    if report.get("verdict"):
        return str(report["verdict"])
    parts: list[Phrase] = []
    if _ledger("rows", report.get("rows")):
        parts.append(runs.ledger_line(report["rows"]))
    metrics = report.get("metrics")
    for key, name in (("loss", Phrase("training loss")), ("eval_loss", Phrase("held-out loss"))):
        ends = [metrics.get(f"{key}_{end}") for end in ("first", "last")] if isinstance(metrics, dict) else []
        if len(ends) == 2 and all(isinstance(value, (int, float)) for value in ends):
            parts.append(Phrase("{name} {first} → {last}", name=name, first=number(ends[0]), last=number(ends[1])))
    return say(joined(" · ", parts))


def number(value: Any) -> str:
    """A number for eyes: 12,345 · 0.1234 · 1.2e-05; anything else as it is."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, int) or (value.is_integer() and abs(value) < 1e15):
        return f"{int(value):,}"
    return f"{value:,.1f}" if 1000 <= abs(value) < 1e15 else f"{value:.4g}"


def duration(seconds: float) -> str:
    """Seconds for eyes: 4.2 s · 6 min 53 s · 3 h 20 min."""
    if seconds < 60:
        return say("{seconds:.1f} s", seconds=seconds)
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return say("{hours} h {minutes} min", hours=hours, minutes=minutes)
    return say("{minutes} min {seconds} s", minutes=minutes, seconds=rest)


def share(value: float) -> str:
    """A share of one as percent, with one decimal."""
    return f"{100 * value:.1f} %"


def reason(key: str) -> str:
    """A reason in the user's language, with its key where that differs: it is what stands in dropped.jsonl."""
    words = label(key)
    return key if words == key.replace("_", " ") else f"{words} ({key})"


def _facts(report: Mapping[str, Any], manifest: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if "started" in manifest:
        yield label("started"), str(manifest["started"]).replace("T", " ").replace("+00:00", " UTC")
    if isinstance(manifest.get("seconds"), (int, float)):
        yield label("took"), duration(manifest["seconds"])
    parents = manifest.get("parents")
    if isinstance(parents, list) and parents:
        yield label("made_from"), ", ".join(map(str, parents))
    for key, value in report.items():
        if key not in SHOWN_ELSEWHERE and isinstance(value, (str, int, float)):
            yield label(key), number(value)


def _ledgers(report: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    seen: list[Any] = []
    for name in ["rows", *report]:
        found = _ledger(label(name), report.get(name))
        if found and found["sums"] not in seen:
            seen.append(found["sums"])
            yield found
    for source in _list(report.get("sources")):
        found = _ledger(str(source.get("source", "source")), source.get("rows")) if isinstance(source, dict) else None
        if found:
            notes = [
                str(value) for key, value in source.items() if key != "source" and isinstance(value, str) and value
            ]
            yield found | {"notes": notes}


def _ledger(name: str, data: Any) -> dict[str, Any] | None:
    """A ledger for the page, its losses sorted by size, or None where the data is none."""
    for everything, kept, lost in LEDGERS:
        if isinstance(data, dict) and {everything, kept, lost} <= data.keys() and isinstance(data[lost], dict):
            reasons = sorted(data[lost].items(), key=lambda item: (-item[1], item[0]))
            sums = (data[everything], data[kept], reasons)
            words = {"everything": label(everything), "kept": label(kept), "lost": label(lost)}
            return {"name": name, "words": words, "all": data[everything], "good": data[kept], "sums": sums} | {
                "reasons": reasons,
                "notes": [],
                "bad": sum(count for _, count in reasons),
            }
    return None


def _model_rows(models: Mapping[str, Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """A row of the table per metric: its cells stand in the order of the models, None where one lacks it."""
    keys = dict.fromkeys(key for entry in models.values() for key in entry if key not in BESIDE)
    for key in keys:
        cells = [_cell(key, entry) if key in entry else None for entry in models.values()]
        if any(cells):
            yield {"name": label(key), "cells": cells}


def _cell(key: str, entry: Mapping[str, Any]) -> dict[str, Any] | None:
    value, interval = entry[key], entry.get("intervals", {}).get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    show = share if is_share(key) else number
    ends = [show(end).removesuffix(" %") for end in interval] if interval else []
    bar = {"at": value, "low": interval[0], "high": interval[1]} if interval and is_share(key) else None
    counted = entry.get("counts", {}).get(key)
    only = counted if counted != entry.get("n") else None
    return {"text": show(value), "interval": " – ".join(ends), "n": only, "bar": bar}


def is_share(key: str) -> bool:
    """Whether a metric of this name lies between 0 and 1 and is read as percent."""
    return key == "exact_match" or key.endswith(("_rate", "_accuracy", "_share"))


def _tasks(models: Mapping[str, Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """A table per metric: a row per task, whose cells stand in the order of the models; the last model's best first."""
    tables = [entry.get("tasks", {}) for entry in models.values()]
    names = dict.fromkeys(task for tasks in tables for task in tasks)
    for key in dict.fromkeys(key for tasks in tables for entry in tasks.values() for key in entry if key not in BESIDE):
        rows = []
        for task in sorted(names, key=lambda task: -_last(tables, task, key)):
            cells = [_cell(key, tasks[task]) if key in tasks.get(task, {}) else None for tasks in tables]
            count = max(tasks.get(task, {}).get("n", 0) for tasks in tables)
            rows += [{"name": task, "n": count, "cells": cells}] if any(cells) else []
        if rows:
            yield {"name": label(key), "rows": rows}


def _last(tables: list[Mapping[str, Mapping[str, Any]]], task: str, key: str) -> float:
    """The figure of the last model that has one, to sort by."""
    found = [value for tasks in tables if isinstance(value := tasks.get(task, {}).get(key), (int, float))]
    return float(found[-1]) if found else 0.0


def _is_table(value: Any) -> bool:
    plain = isinstance(value, dict) and bool(value) and not _ledger("", value)
    return plain and all(isinstance(one, (int, float, str)) for one in value.values())


def _cause(row: Any) -> list[tuple[str, str]]:
    """What a dropped row says of itself: where it stood, what is wrong, what it repeats."""
    keys = ("source", "error", "duplicate_of", "question", "license")
    return [(key, str(row[key])) for key in keys if row.get(key)] if isinstance(row, dict) else []


def _bars(table: Mapping[str, Any]) -> dict[str, float]:
    """Key → its part of the largest, 0 to 1, where a table holds counts that can be compared; else nothing."""
    counts = {key: value for key, value in table.items() if isinstance(value, int) and not isinstance(value, bool)}
    largest = max(counts.values(), default=0)
    return {key: value / largest for key, value in counts.items()} if len(counts) == len(table) > 1 and largest else {}


def _figures(figures: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Drawings with titles and legends; the training loss and the held-out loss share one."""
    series = {name: found for name, value in figures.items() if (found := dict(_series(name, value)))}
    together = {key: line for name in ("loss", "eval_loss") for key, line in series.pop(name, {}).items()}
    for name, lines in ({"loss": together} | series).items():
        yield from _figure(name, curves(lines), list(lines))
    for name, value in figures.items():
        if isinstance(value, dict) and {"edges", "counts"} <= value.keys():
            yield from _figure(name, histogram(value["edges"], value["counts"]), [])
        elif isinstance(value, list) and value and all(isinstance(one, (int, float)) for one in value):
            yield from _figure(name, histogram(*bin_values(value)), [])


def _figure(name: str, svg: str, legend: list[str]) -> Iterator[dict[str, Any]]:
    from markupsafe import Markup

    if svg:  # drawn from numbers alone, so it is markup that no data has touched
        yield {"name": label(name), "svg": Markup(svg), "legend": legend}


def _series(name: str, value: Any) -> Iterator[tuple[str, list[tuple[float, float]]]]:
    """The curves in a list of {"step", key: number}; the only key of `eval_loss` is called so too."""
    entries = [one for one in _list(value) if isinstance(one, dict) and isinstance(one.get("step"), (int, float))]
    wanted = ("loss", "eval_loss") if name == "loss" else None
    keys = dict.fromkeys(key for entry in entries for key in entry if key != "step" and (not wanted or key in wanted))
    for key in keys:
        points = [(float(e["step"]), float(e[key])) for e in entries if isinstance(e.get(key), (int, float))]
        if points:
            yield name if len(keys) == 1 else key, points


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _is_comparison(sample: Any) -> bool:
    return isinstance(sample, dict) and isinstance(sample.get("answers"), dict)


def _groups(samples: Any) -> dict[str, list[Any]]:
    """Samples that are rows: by reason as they come, or in one list."""
    if isinstance(samples, dict):
        return {str(reason): _list(rows) for reason, rows in samples.items()}
    rows = [one for one in _list(samples) if not _is_comparison(one)]
    return {label("samples"): rows} if rows else {}


def _turns(row: Any) -> list[tuple[str, str]]:
    """A row as (who, text): its messages, else its texts, else the whole row as JSON."""
    if not isinstance(row, dict):
        return [("", str(row))]
    found = []
    for key in ("prompt", "messages", "completion", "chosen", "rejected"):
        for turn in _list(row.get(key)):
            if isinstance(turn, dict) and "content" in turn:
                who = key if key in ("chosen", "rejected") else turn.get("role", key)
                found.append((str(who), str(turn["content"])))
    if not found:
        return [("", str(row["text"]) if "text" in row else runs.dump_json(row))]
    return found
