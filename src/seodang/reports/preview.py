"""What is trained, as HTML: in the run report, and as a notebook shows it.

    {"facts": {name: value},
     "views": [{"title", "notes": […], "spans": [{"text", "kind": trained | stop | control | context, "ids"}]}],
     "steps": {"text", "normalizer", "normalized", "words", "groups", "before", "after", "batch"}}

Text from data is text: Jinja escapes all of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from seodang.language import label, language, say
from seodang.tokenizer_steps import normalised, seen

if TYPE_CHECKING:
    from jinja2 import Environment

STEPS = frozenset({"text", "normalizer", "normalized", "words", "groups", "before", "after", "batch"})


def environment() -> Environment:
    """Jinja for the pages of this folder: everything is escaped, and texts are said in the user's language."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader("seodang.reports", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals |= {"label": label, "say": say}  # Jinja would fold a filter of a constant once for all
    filters: dict[str, Any] = {"label": label, "normalised": _normalised, "seen": seen, "zip": zip}
    made.filters |= filters
    return made


def notebook(shown: Mapping[str, Any]) -> str:
    """A fragment that stands alone in a notebook, light or dark."""
    page = _notebook().render(language=language(), facts=shown.get("facts", {}), views=views(shown), steps=steps(shown))
    return str(page)


@lru_cache
def _notebook() -> Any:
    return environment().get_template("notebook.html.j2")


def views(shown: Any) -> list[dict[str, Any]]:
    """The rows of a preview: views as they are, or what reports held before, a list of spans or of such lists."""
    if isinstance(shown, Mapping):
        found = [view for view in _list(shown.get("views")) if isinstance(view, Mapping)]
    else:
        rows = _list(shown)
        rows = [rows] if rows and isinstance(rows[0], Mapping) else [row for row in rows if isinstance(row, list)]
        found = [{"spans": row} for row in rows]
    return [_view(view) for view in found]


def _view(view: Mapping[str, Any]) -> dict[str, Any]:
    notes = [note for note in _list(view.get("notes")) if isinstance(note, str)]
    spans = [_span(span) for span in _list(view.get("spans")) if isinstance(span, Mapping)]
    return {"title": view.get("title", ""), "notes": notes, "spans": spans}


def _span(span: Mapping[str, Any]) -> dict[str, str]:
    kind, text = str(span.get("kind", "context")), str(span.get("text", ""))
    marked = text.replace("\n", "↵\n") if kind in ("trained", "stop") else text
    return {"kind": kind, "text": marked, "ids": " ".join(map(str, _list(span.get("ids"))))}


def steps(shown: Any) -> dict[str, Any] | None:
    """The steps of a preview, where it has them; the ids and the mask of a row of its batch stand together."""
    found = shown.get("steps") if isinstance(shown, Mapping) else None
    if not isinstance(found, Mapping) or not found.keys() >= STEPS:
        return None
    batch = found["batch"]
    paired = batch and {**batch, "rows": list(zip(batch["ids"], batch["mask"], strict=True))}
    return {**found, "batch": paired}


def _normalised(found: Mapping[str, Any]) -> str:
    return say(normalised(found["normalizer"], found["text"], found["normalized"]))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
