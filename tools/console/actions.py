"""What one can do: send, pause, redrive, reveal, erase; and on the embedded stack break things, and start over.

The embedded stack is one's own to play with. Any other is changed only if the console was started so, and then by the
operators' functions alone, with the rights of whoever started it.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import parse_qs

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as Address

from sluice.aws import parameters
from sluice.declaration import registry
from sluice.declaration.route import Queued, head_of, streams_of
from sluice.failures import DeclarationError
from sluice.postgres.driver import quoted_table
from tools.console import letters, pages
from tools.console.jobs import Busy, Job, Jobs
from tools.console.pages import Told, number, told
from tools.console.site import Site, Unavailable
from tools.local.stack import Stack
from tools.sluice_cli.authors import messages
from tools.sluice_cli.authors.generator import NotGenerated
from tools.sluice_cli.authors.messages import Unreadable
from tools.sluice_cli.operators import breaker, forget, reveal, send
from tools.sluice_cli.operators.breaker import Source, StillChanging, Switchboard
from tools.testing.faults.postgres import FaultyPostgres

MOST_MESSAGES = 100_000
MOST_RATE = 1000  # messages a second
OUTAGE_SECONDS = 30
LOCK_SECONDS = 90  # longer than ingest tries for, so that the breaker trips
VISIBILITY_SECONDS = 70  # a little longer than ingest's 60
LABELS = {"count": "How many", "rate": "Messages a second", "job": "The job"}  # of the inputs
EMPTIED = ("batch", "rejection", "pii_vault", "pii_vault_key", "erasure", "erased_value")

type Form = Mapping[str, str]


class Kind(NamedTuple):
    """What is made up."""

    words: str
    junk: float = 0.0  # the share of junk
    twice: float = 0.0  # the share of what is sent twice


KINDS = {
    "good": Kind("good"),
    "bad": Kind("bad", junk=1.0),
    "duplicates": Kind("duplicates: each twice", twice=1.0),
    "a mix": Kind("a mix: 1 in 10 bad, 1 in 10 twice", junk=0.1, twice=0.1),
}


class Wrong(Exception):
    """What was filled in cannot be done: says why."""


def _send(request: Request, form: Form) -> Told:
    """Send made-up records, or those that were given."""
    name, text = form.get("stream", ""), form.get("text", "").strip()
    declared = _declared(name)
    queues = request.app.state.site.aws(request.app.state.flow.queues)
    if name not in queues:
        raise Wrong(f"The stack has no stream {name}.")
    rate = _number(form, "rate", MOST_RATE) if form.get("rate") else None
    if text:
        try:
            given = send.brought(declared, messages.of_text(head_of(declared), "what was given", text))
        except Unreadable as error:
            raise Wrong(str(error)) from None
        selection = send.Selection(len(given), frozenset(), frozenset())
    else:
        given = []
        kind = KINDS[form.get("kind", "good")]
        selection = send.Selection.of(_number(form, "count", MOST_MESSAGES), kind.junk, kind.twice)
    total = selection.count + len(selection.twice)
    sqs = request.app.state.site.client("sqs")

    def work(job: Job) -> None:
        queue = send.Queue(sqs, queues[name].queue, rate)
        try:
            for _ in queue.send(send.made(declared, given, selection)):
                job.told = f"{number(queue.sent)} of {number(total)} sent"
                if job.stopping.is_set():
                    job.told += ", then stopped"
                    return
        except NotGenerated as error:
            raise Unavailable(f"No record can be made up: {error}. Paste some.") from None
        if queue.refused:
            why = ", ".join(queue.refused)
            raise Unavailable(f"SQS did not take {number(queue.refused.total())} of {number(total)}: {why}.")

    job = _jobs(request).start(f"Send to {name}", lambda job: request.app.state.site.aws(lambda: work(job)))
    return told(f"Sending {number(total)} messages to {name}.", job=job.number)


def _pause(request: Request, form: Form) -> Told:
    site: Site = request.app.state.site
    board, source = _board(request, form)
    site.aws(lambda: breaker.stop(board, source))
    return told(f"{source.stream} is paused: its messages wait in the queue, for 7 days at most.")


def _resume(request: Request, form: Form) -> Told:
    site: Site = request.app.state.site
    board, source = _board(request, form)
    try:
        return told(site.aws(lambda: breaker.go_on(board, source)))
    except StillChanging as error:
        raise Wrong(f"{error}.") from None


def _redrive(request: Request, form: Form) -> Told:
    is_dry = form.get("dry_run") != "no"
    payload = {"action": "redrive", "stream": form.get("stream", ""), "dry_run": is_dry, **_why(form)}
    if form.get("rejected_as"):
        payload["rejected_as"] = form["rejected_as"]
    total = letters.redrive(request.app.state.site, payload)
    lines = letters.told(total)
    if not lines:
        return told("There is no such letter.", "warn")
    return told("This would be done:" if is_dry else "This was done:", "good", lines=lines)


def _reveal(request: Request, form: Form) -> Told:
    asked = {"tokens": [form.get("token", "")], **_why(form)}
    answer = request.app.state.site.ask(reveal.URL_OUTPUT, asked)
    if answer["altered"]:
        return told("What is sealed under this token was altered.", "bad")
    if not answer["values"]:
        return told("Nothing is sealed under this token: it is one-way, or its person was erased.", "warn")
    return told("Logged in the audit log. Leave this page, and the value is gone from it.", values=answer["values"])


def _forget(request: Request, form: Form) -> Told:
    is_dry = form.get("dry_run") != "no"
    if not is_dry and form.get("confirmed") != "yes":
        raise Wrong("Nothing was erased: confirm first that you want to erase them for good.")
    subject = form.get("subject", "").strip()
    if not subject:
        raise Wrong("Say who is to be erased.")
    payload = {"action": "forget", "subject": subject, "dry_run": is_dry, **_why(form)}
    answer = request.app.state.site.ask(forget.URL_OUTPUT, payload)
    lines = [(f"rows of {name}", rows) for name, rows in answer.get("rows", {}).items() if rows]
    lines += [(f"mentions in rows of {name}", rows) for name, rows in answer.get("mentions", {}).items() if rows]
    lines += [("sealed values", answer["values"])]
    lines += [(f"stays: {forget.STAYS[name]}", count) for name, count in answer.get("stays", {}).items() if count]
    if is_dry and not any(count for _, count in lines):  # an erasure is remembered even then
        return told("Nothing is kept of this person. Is the name as records have it?", "warn")
    return told("This would go:" if is_dry else "This is gone:", "good", lines=lines)


def _outage(request: Request, form: Form) -> Told:
    """Stop PostgreSQL for a while."""
    stack = _embedded(request)

    @_hurried(request)
    def work(job: Job) -> None:
        server = FaultyPostgres(stack.postgres.folder, stack.postgres.port, stack.postgres.password)
        server.stop()
        try:
            for left in job.seconds(OUTAGE_SECONDS):
                job.told = f"stopped; it starts again in {left} s"
        finally:
            server.start_again()
            job.told = f"runs again since {_clock()}; a probe starts the queue within a minute of that"

    job = _jobs(request).start("PostgreSQL", work, alone=True)
    text = f"PostgreSQL is stopped for {OUTAGE_SECONDS} seconds. Send some messages, and watch the breaker."
    return told(text, job=job.number)


def _lock(request: Request, form: Form) -> Told:
    """Lock a table against writes for a while."""
    stack, declared = _embedded(request), _declared(form.get("stream", ""))
    tables = [stream.table for stream in streams_of(declared)]

    @_hurried(request)
    def work(job: Job) -> None:
        with stack.connect() as owner:
            owner.run("BEGIN")
            for table in tables:
                owner.run(f"LOCK TABLE {quoted_table(table)} IN SHARE ROW EXCLUSIVE MODE")
            for left in job.seconds(LOCK_SECONDS):
                job.told = f"locked against writes for {left} s more"
            owner.run("ROLLBACK")
        job.told = f"unlocked at {_clock()}; a probe starts the queue within a minute of that"

    job = _jobs(request).start(f"Table {', '.join(tables)}", work, alone=True)
    text = f"Locked for {LOCK_SECONDS} seconds. A batch tries for a minute; then the breaker trips."
    return told(text, job=job.number)


def _clock() -> str:
    return f"{datetime.now(UTC):%H:%M:%S}"


def _hurried(request: Request) -> Callable[[Callable[[Job], None]], Callable[[Job], None]]:
    """Have messages that fail come again soon while a job goes on: nobody wants to watch for eleven minutes."""
    site: Site = request.app.state.site
    urls = [queues.queue for queues in site.aws(request.app.state.flow.queues).values()]
    names, sqs = ["VisibilityTimeout"], site.client("sqs")

    def hurried(work: Callable[[Job], None]) -> Callable[[Job], None]:
        def run(job: Job) -> None:
            before = {url: sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"] for url in urls}
            for url in urls:
                sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": str(VISIBILITY_SECONDS)})
            try:
                work(job)
            finally:
                for url, attributes in before.items():
                    sqs.set_queue_attributes(QueueUrl=url, Attributes=attributes)

        return run

    return hurried


def _start_over(request: Request, form: Form) -> Told:
    """Empty queues and tables. The audit log stays: nothing deletes of it."""
    if form.get("confirmed") != "yes":
        raise Wrong("Nothing was thrown away: confirm first that all messages and rows may go.")
    site, stack = request.app.state.site, _embedded(request)
    _jobs(request).end()
    site.aws(lambda: _empty_queues(request))
    tables = [quoted_table(stream.table) for stream in registry.load_all()]
    with stack.connect() as owner:
        there = [table for table in tables if owner.run("SELECT to_regclass(:name)", name=table)[0][0] is not None]
        owner.run(f"TRUNCATE {', '.join([*there, *EMPTIED])}")
        owner.run("UPDATE removal SET number = number + 1")  # the functions then forget what they know to be sealed
    request.app.state.flow.begin_anew()
    return told("All queues and tables are empty. The audit log is as it was.")


def _empty_queues(request: Request) -> None:
    site: Site = request.app.state.site
    board: Switchboard = request.app.state.flow.board
    for queues in request.app.state.flow.queues().values():
        for url in (queues.queue, queues.dead_letters):
            site.client("sqs").purge_queue(QueueUrl=url)
    for source in board.sources():
        parameters.delete(board.ssm, board.name("breaker", source.stream))
        breaker.go_on(board, source)


def _stop(request: Request, form: Form) -> Told:
    _jobs(request).stop(_number(form, "job", 2**31))
    return told("It stops.")


async def _job(request: Request) -> Response:
    """Answer how a job has ended, and nothing for as long as it goes on."""
    job = _jobs(request).get(request.path_params["number"])
    if job is None:
        return _shown(request, told("It is over."))
    if not job.is_over:
        return Response(status_code=204)
    return _shown(request, told(f"{job.name}: {job.told.removesuffix('.')}.", job.kind))


def _why(form: Form) -> dict[str, str]:
    """Return what the audit log asks for."""
    reason, ticket = form.get("reason", ""), form.get("ticket", "").strip()
    if reason not in letters.REASONS or not ticket:
        raise Wrong("Say why: a reason and a ticket, such as OPS-1.")
    return {"reason": reason, "ticket": ticket}


def _number(form: Form, name: str, most: int) -> int:
    text = form.get(name, "")
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise Wrong(f"{LABELS[name]} must be a number from 1 to {number(most)}.")
    return int(text)


def _declared(name: str) -> Queued:
    try:
        return registry.load_queued(name)
    except DeclarationError as error:
        raise Wrong(f"{error}.") from None


def _board(request: Request, form: Form) -> tuple[Switchboard, Source]:
    site: Site = request.app.state.site
    board: Switchboard = request.app.state.flow.board
    sources = {source.stream: source for source in site.aws(board.sources)}
    if form.get("stream", "") not in sources:
        raise Wrong("The stack has no such stream.")
    return board, sources[form["stream"]]


def _embedded(request: Request) -> Stack:
    stack: Stack | None = request.app.state.site.embedded
    if stack is None:
        raise Wrong("This can be done with the embedded stack alone.")
    return stack


def _jobs(request: Request) -> Jobs:
    jobs: Jobs = request.app.state.jobs
    return jobs


def _address(path: str, do: Callable[[Request, Form], Told]) -> Address:
    async def endpoint(request: Request) -> Response:
        if not request.app.state.site.may_change:
            return _shown(
                request, told("This stack is looked at only. `sluice console --allow-changes` allows more.", "bad"), 403
            )
        body = parse_qs((await request.body()).decode("utf-8", "replace"), keep_blank_values=True)
        form = {name: values[-1] for name, values in body.items()}
        try:
            done = await run_in_threadpool(do, request, form)
        except (Wrong, Unavailable) as error:
            return _shown(request, told(str(error), "bad"))
        except Busy as error:
            return _shown(request, told(f"{error}: this goes on already.", "warn"))
        request.app.state.live.forget()
        return _shown(request, done)

    return Address(f"/do/{path}", endpoint, methods=["POST"])


def _shown(request: Request, done: Told, status: int = 200) -> Response:
    return pages.page(request, "told.html", status, **done)


def routes() -> list[Address]:
    """Return the addresses of all actions."""
    return [
        _address("send", _send),
        _address("pause", _pause),
        _address("resume", _resume),
        _address("redrive", _redrive),
        _address("reveal", _reveal),
        _address("forget", _forget),
        _address("outage", _outage),
        _address("lock", _lock),
        _address("start-over", _start_over),
        _address("stop", _stop),
        Address("/jobs/{number:int}", _job),
    ]
