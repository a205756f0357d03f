"""`reports/index.html`: one page that needs no network, from the figures of `stats` and a stratified gallery."""

import base64
import hashlib
import json
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import jinja2
from markupsafe import Markup

from hemadata import schema
from hemadata.ontology import Ontology
from hemadata.regions import REGIONS
from hemadata.report import charts
from hemadata.report.gallery import Record

PAGE_BYTES = 20_000_000


@cache
def _template(name: str) -> jinja2.Template:
    loader = jinja2.FunctionLoader(_file)
    made = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    made.undefined = jinja2.StrictUndefined
    made.filters |= {"n": _number, "share": _share, "words": _words}
    return made.get_template(name)


def _file(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def render(figures: dict[str, Any], records: Sequence[Record], ontology: Ontology, chosen: int, is_full: bool) -> str:
    """The page.

    Args:
        figures: of `stats.stats`.
        records: of the gallery, in the order of choice; as many of them as fit.
        ontology: tells how labels are called.
        chosen: records before the size bound took some off.
        is_full: whether the paged gallery lies beside the page.
    """
    families = {name: page["family"] for name, page in figures["sources"].items()}
    return _template("page.html.j2").render(
        **_shell(_script_data(records, ontology)),
        stats=figures,
        charts=charts,
        families=families,
        splits=schema.SPLITS,
        chosen=chosen,
        shown=len(records),
        is_full=is_full,
        alike=_alike,
    )


def render_gallery_page(source: str, records: Sequence[Record], ontology: Ontology, number: int, pages: int) -> str:
    """One page of the full gallery."""
    data = _script_data(records, ontology)
    return _template("gallery.html.j2").render(**_shell(data), source=source, number=number, pages=pages)


def fitting(records: Sequence[Record], room: int) -> list[Record]:
    """The first of the records, as many as `room` bytes of the page hold."""
    kept, left = list[Record](), room
    for record in records:
        left -= len(_dump(record)) + 1
        if left < 0:
            break
        kept.append(record)
    return kept


def _shell(data: Markup) -> dict[str, Any]:
    """Style, script and the policy that lets nothing else run: each is named by its hash."""
    css, js = _file("page.css"), _file("page.js")
    policy = (
        f"default-src 'none'; img-src data:; script-src 'sha256-{_sha(js)}'; style-src 'sha256-{_sha(css)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    return {"css": Markup(css), "js": Markup(js), "policy": policy, "data": data}


def _sha(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _script_data(records: Sequence[Record], ontology: Ontology) -> Markup:
    """The records as JSON that cannot leave its element: names of files and labels are not ours."""
    names = sorted({label for record in records for label in record["c"] if label is not None})
    display = {name: ontology.node(name).display if name in ontology else name for name in names}
    regions = {region.name: "#{:02x}{:02x}{:02x}".format(*region.colour) for region in REGIONS.values()}
    return Markup(_dump({"records": records, "names": display, "regions": regions}))


def _dump(value: Any) -> str:
    """JSON in ASCII without the characters that mean something to HTML."""
    text = json.dumps(value, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _alike(found: int, published: int | None, tolerance: float) -> str:
    """How a count stands beside the paper's: nothing, or what differs."""
    if published is None:
        return ""
    if abs(found - published) <= tolerance * published:
        return "as published"
    return f"{found - published:+,}".replace("-", "\u2212")


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,}"


def _share(value: float) -> str:
    return "0 %" if not value else f"{100 * value:.1f} %" if value >= 0.0995 else f"{100 * value:.2g} %"


def _words(text: str | None) -> str:
    return "not labelled" if text is None else text.replace("_", " ")
