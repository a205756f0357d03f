"""What parsing, checking and the journal cost beside a slow server: `python benchmarks/engine_share.py [--json]`.

A stub server in a process of its own answers after 500 ms +- 20 %, to 64 requests at a time. A bare aiohttp client
and the endpoint engine with parser, checker and journal send the same 5,000 requests to it, in turns; the figure is
the ratio of the medians of their throughputs. Needs aiohttp: `uv run --with aiohttp python ...`.
"""

import argparse
import asyncio
import json
import multiprocessing
import random
import statistics
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from hemasynth import prompt, run
from hemasynth.engines.base import Request
from hemasynth.engines.canary import SCHEMA, WORD
from hemasynth.engines.endpoint import EndpointEngine
from hemasynth.engines.template import TemplateEngine
from hemasynth.journal import Journal
from hemasynth.lexicon import load
from hemasynth.plan import Item, plan

LATENCY, SPREAD, SLOTS = 0.5, 0.2, 64


def serve(answers: dict[int, str], ready: Connection) -> None:
    """Answer by seed, which every request has for itself."""
    from aiohttp import web

    slots = asyncio.Semaphore(SLOTS)
    draw = random.Random(0)

    async def reply(request: web.Request) -> web.Response:
        body = await request.json()
        async with slots:
            await asyncio.sleep(LATENCY * draw.uniform(1 - SPREAD, 1 + SPREAD))
        canary = body["response_format"]["json_schema"]["schema"] == SCHEMA
        text = json.dumps({"word": WORD}) if canary else answers[body["seed"]]
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
        usage = {"prompt_tokens": 420, "completion_tokens": 60, "total_tokens": 480}
        about = {"id": "1", "object": "chat.completion", "created": 0, "model": body["model"]}
        return web.json_response({**about, "choices": [choice], "usage": usage})

    async def main() -> None:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", reply)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        ready.send(runner.addresses[0][1])
        await asyncio.Event().wait()

    asyncio.run(main())


def bare(url: str, bodies: list[dict[str, Any]]) -> float:
    """Return requests per second of aiohttp alone."""
    import aiohttp

    async def main() -> None:
        waiting = iter(bodies)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=SLOTS)) as session:

            async def work() -> None:
                for body in waiting:
                    async with session.post(f"{url}/chat/completions", json=body) as response:
                        await response.json()

            await asyncio.gather(*(work() for _ in range(SLOTS)))

    start = time.perf_counter()
    asyncio.run(main())
    return len(bodies) / (time.perf_counter() - start)


def whole(url: str, cells: list[Any], count: int) -> float:
    """Return requests per second of `Run` with everything on."""
    with tempfile.TemporaryDirectory() as folder, Journal(Path(folder) / "journal.jsonl") as journal:
        writer = run.Run(EndpointEngine("stub", url, slots=SLOTS))
        outcome = writer.write(cells, journal)
    assert writer.session.replies == count == len(outcome.pairs), (writer.session.replies, count, len(outcome.pairs))
    return count / writer.session.seconds


def body(item: Item, lexicon: Any) -> dict[str, Any]:
    form = {"type": "json_schema", "json_schema": {"name": "reply", "schema": prompt.schema(item.topic, lexicon)}}
    messages = [{"role": "user", "content": prompt.render(item, lexicon)}]
    sampling = {"temperature": 0.8, "top_p": 0.95, "max_tokens": 256, "seed": item.seed % 2**31}
    return {"model": "stub", "messages": messages, "response_format": form, **sampling}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", type=Path, default=Path("../shared/raw"), help="folder with wbcatt")
    parser.add_argument("--requests", type=int, default=5000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    from hemasynth.labels import read_labels

    lexicon, cells, total = load(), [], 0
    for cell in read_labels(options.raw / "wbcatt"):
        if total >= options.requests:
            break
        cells.append(cell)
        total = len(plan(cells, lexicon)) if len(cells) % 50 == 0 else total
    items = plan(cells, lexicon)
    answers = {
        reply.request.item.seed % 2**31: reply.text
        for reply in TemplateEngine().generate(Request(item) for item in items)
    }
    assert len(answers) == len(items), "two requests have the same seed"
    here, there = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(answers, there), daemon=True)
    server.start()
    url = f"http://127.0.0.1:{here.recv()}/v1"
    rates: dict[str, list[float]] = {"bare": [], "hemasynth": []}
    bodies = [body(item, lexicon) for item in items]
    for _ in range(options.runs):
        rates["bare"].append(bare(url, bodies))
        rates["hemasynth"].append(whole(url, cells, len(items)))
    server.terminate()
    medians = {name: statistics.median(values) for name, values in rates.items()}
    told = {
        "requests": len(items),
        **{f"{name}_per_second": [round(rate, 1) for rate in values] for name, values in rates.items()},
        "ratio": round(medians["hemasynth"] / medians["bare"], 3),
    }
    print(json.dumps(told) if options.json else "\n".join(f"{name:22} {value}" for name, value in told.items()))


if __name__ == "__main__":
    main()
