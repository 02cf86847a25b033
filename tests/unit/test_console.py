"""The console: who may talk to it, what a browser may do with its answers, and how it shows what it found."""

import asyncio
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any, ClassVar

import pytest
from starlette.requests import Request
from starlette.testclient import TestClient
from starlette.types import Message

from sluice.breaker.record import Record
from sluice.operators.audit.ledger import COUNTS, OUTCOMES
from streams.orders import Order
from streams.user_logins import UserLogin
from tests.unit.fakes import IP_TOKEN, ROOT
from tools.console import cells, letters, pages, refusals, rows, runbook, streams
from tools.console.app import application
from tools.console.charts import WINDOWS
from tools.console.flow import Depth, Lane, Seen, wait_words
from tools.console.guard import HEADERS, Secrets
from tools.console.jobs import Busy, Job, Jobs
from tools.console.ledger import Sum
from tools.console.live import Live
from tools.console.logs import Line
from tools.console.metrics import UNKNOWN
from tools.console.site import Site, Unavailable
from tools.sluice_cli.operators import causes
from tools.sluice_cli.operators.dead_letters import Total
from tools.sluice_cli.operators.deployment import Deployment
from tools.testing.aws.service import refusal

PORT = 8484
HOST = f"127.0.0.1:{PORT}"
SECRETS = Secrets("of-the-start", "of-the-session", "against-forgery")
COOKIE = {"cookie": f"sluice_console_{PORT}={SECRETS.session}"}
VENDORED = (ROOT / "tools" / "console" / "static" / "vendor", ROOT / "tests" / "browser" / "vendor")


class Session:
    """A session of boto3 that must not be asked for anything."""

    def client(self, service: str, **options: Any) -> Any:
        raise AssertionError(service)


@dataclass
class Answer:
    """What the console has answered."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def text(self) -> str:
        return self.body.decode()


@dataclass
class Refusing:
    """A session of boto3 whose every call is refused."""

    code: str = "AccessDenied"

    def client(self, service: str, **options: Any) -> Any:
        return self

    def __getattr__(self, operation: str) -> Any:
        def refuse(*arguments: Any, **parameters: Any) -> Any:
            raise refusal(self.code, operation)

        return refuse


def site(session: Any, may_change: bool = False) -> Site:
    """Return a stack without a database."""
    return Site(Deployment(session, None, "sluice"), None, None, may_change)


def ask(path: str, method: str = "GET", query: str = "", **headers: str) -> Answer:
    """Ask the console of a stack that must not be looked at."""
    return ask_of(site(Session()), path, method, query, **headers)


def ask_of(site: Site, path: str, /, method: str = "GET", query: str = "", body: str = "", **headers: str) -> Answer:
    """Ask the console of a stack, as an ASGI server does."""
    app = application(site, PORT, SECRETS)
    sent = {"host": HOST} | {name.replace("_", "-"): value for name, value in headers.items()}
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
    }
    answer = Answer()

    received: Iterator[Message] = iter([{"type": "http.request", "body": body.encode(), "more_body": False}])

    async def receive() -> Message:
        return next(received, {"type": "http.disconnect"})

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        answer.body += message.get("body", b"")

    asyncio.run(app(scope, receive, send))
    return answer


# Who may talk to it


def test_the_start_token_becomes_a_cookie_and_leaves_the_address() -> None:
    answer = ask("/streams", query=f"token={SECRETS.start}")
    (cookie,) = SimpleCookie(answer.headers["set-cookie"]).values()
    options = cookie["httponly"], cookie["samesite"], cookie["path"]
    assert (answer.status, answer.headers["location"]) == (303, "/streams")
    assert (cookie.value, *options) == (SECRETS.session, True, "strict", "/")


def test_who_has_the_cookie_sees_the_page() -> None:
    answer = ask("/streams", **COOKIE)
    assert (answer.status, "From field to column" in answer.text) == (200, True)


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({}, 401),
        ({"query": "token=another"}, 401),
        ({"cookie": "sluice_console_8484=another"}, 401),
        ({"cookie": "sluice_console_8485=of-the-session"}, 401),
        ({**COOKIE, "host": "evil.example"}, 421),  # a name of theirs that leads here: DNS rebinding
        ({**COOKIE, "host": "127.0.0.1:8485"}, 421),
        ({**COOKIE, "origin": "https://evil.example"}, 421),
        ({**COOKIE, "origin": "null"}, 421),
        ({**COOKIE, "sec_fetch_site": "cross-site"}, 403),
        ({**COOKIE, "sec_fetch_site": "same-site"}, 403),  # another port of this machine
        ({**COOKIE, "method": "POST"}, 403),
        ({**COOKIE, "method": "POST", "x_csrf_token": "another"}, 403),
        ({**COOKIE, "method": "DELETE"}, 403),
    ],
)
def test_nobody_else_gets_further(asked: Mapping[str, str], status: int) -> None:
    answer = ask("/streams", **asked)
    assert (answer.status, "From field to column" in answer.text) == (status, False)


def test_what_is_looked_at_only_is_not_changed() -> None:
    answer = ask("/do/start-over", method="POST", x_csrf_token=SECRETS.csrf, origin=f"http://{HOST}", **COOKIE)
    assert (answer.status, "looked at only" in answer.text) == (403, True)


def test_the_token_against_forgery_is_in_the_pages_of_the_console_alone() -> None:
    assert SECRETS.csrf in ask("/streams", **COOKIE).text
    assert SECRETS.csrf not in ask("/streams").text
    assert [secret for secret in (SECRETS.start, SECRETS.session) if secret in ask("/streams", **COOKIE).text] == []


@pytest.mark.parametrize("path", ["/streams", "/static/console.css", "/nothing", "/rows"])
def test_every_answer_has_a_strict_policy_and_stays_in_no_cache(path: str) -> None:
    answer = ask(path, **COOKIE)
    assert {name: answer.headers[name.lower()] for name in HEADERS} == HEADERS


def test_the_policy_allows_nothing_inline_and_no_template_has_any() -> None:
    assert "unsafe" not in HEADERS["Content-Security-Policy"]
    inline = re.compile(
        r"<script(?![^>]* src=)|<style|\sstyle=|\son[a-z]+=|javascript:|hx-on|hx-vals=.js", re.IGNORECASE
    )
    found = [file.name for file in (ROOT / "tools/console/templates").glob("*.html") if inline.search(file.read_text())]
    assert found == []


def test_secrets_are_in_no_representation() -> None:
    assert not re.search("start|session=|csrf=", repr(SECRETS).removeprefix("Secrets"))


def test_what_nobody_foresaw_is_answered_without_the_errors_text(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(AssertionError):  # Starlette hands it on to the server, which logs nothing
        ask("/dead-letters", **COOKIE)
    assert "unforeseen AssertionError in test_console.py" in capsys.readouterr().err


def test_what_cannot_be_seen_is_an_empty_state_that_says_what_to_do() -> None:
    answer = ask("/rows", **COOKIE)
    assert (answer.status, "sluice console --database" in answer.text) == (200, True)


# What is shipped with it


PAGES = ("/", "/rows", "/tokens", "/refusals", "/refusals/one", "/dead-letters", "/charts", "/charts/data", "/audit")


@pytest.mark.parametrize("path", [*PAGES, "/streams", "/runbook", "/playground/", "/erase"])
@pytest.mark.parametrize("code", ["AccessDenied", "AccessDeniedException", "ExpiredToken"])
def test_without_rights_every_page_says_so_instead_of_failing(path: str, code: str) -> None:
    query = "stream=user_logins&reason=missing&pointer=/ip&list=yes&entry=AgeAlarm"
    query += f"&token={IP_TOKEN}" if path == "/tokens" else ""
    answer = ask_of(site(Refusing(code)), path, query=query, **COOKIE)
    assert answer.status == (503 if path == "/charts/data" else 200)
    told = ("Your rights do not allow this", "AWS does not answer: ExpiredToken", "--database", code)
    assert any(one in answer.text for one in told) == (path in PAGES), answer.text


ACTIONS = {
    "send": "stream=user_logins&kind=good&count=1",
    "pause": "stream=user_logins",
    "resume": "stream=user_logins",
    "redrive": "stream=user_logins&reason=operations&ticket=OPS-1",
    "reveal": f"token={IP_TOKEN}&reason=support_request&ticket=OPS-1",
    "forget": "subject=ann&reason=data_subject_request&ticket=OPS-1",
    "outage": "",
    "lock": "stream=user_logins",
    "start-over": "confirmed=yes",
}


@pytest.mark.parametrize("action", ACTIONS)
def test_with_changes_allowed_but_no_rights_nothing_is_done_and_the_page_says_why(action: str) -> None:
    own = {"x_csrf_token": SECRETS.csrf, "origin": f"http://{HOST}", **COOKIE}
    answer = ask_of(site(Refusing(), may_change=True), f"/do/{action}", "POST", "", ACTIONS[action], **own)
    assert (answer.status, 'class="note bad"' in answer.text) == (200, True)
    wanted = ("Your rights do not allow this", "AccessDenied", "with the embedded stack alone")
    assert any(one in answer.text for one in wanted), answer.text


class Answering(Site):
    """A stack whose operators' functions all answer the same."""

    answer: ClassVar[dict[str, Any]]

    def ask(self, url_output: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        return self.answer


@pytest.mark.parametrize(
    ("asked", "stays", "told"),
    [
        ("dry_run=yes", {}, "Nothing is kept of this person."),
        ("dry_run=yes", {"values_used_by_others": 2}, "This would go:"),
        ("dry_run=no&confirmed=yes", {}, "This is gone:"),
    ],
)
def test_of_a_person_nothing_is_kept_only_where_nothing_goes_or_stays(
    asked: str, stays: Mapping[str, int], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Answering, "answer", {"values": 0, "stays": stays}, raising=False)
    own = {"x_csrf_token": SECRETS.csrf, "origin": f"http://{HOST}", **COOKIE}
    stack = Answering(site(Session()).deployment, None, None, may_change=True)
    assert told in ask_of(stack, "/do/forget", "POST", "", f"{ACTIONS['forget']}&{asked}", **own).text


def test_rows_that_cannot_be_read_say_why_while_they_are_followed() -> None:
    app = application(site(Session()), PORT, SECRETS)
    request = Request({"type": "http", "query_string": b"stream=user_logins&follow=yes", "app": app})
    shown = rows.followed(request)
    assert ('class="note bad"' in shown, "sluice console --database" in shown) == (True, True)


@pytest.mark.parametrize("folder", VENDORED, ids=["console", "tests"])
def test_the_libraries_of_others_are_as_they_were_published(folder: Path) -> None:
    lines = [line.split() for line in (folder / "SHA256SUMS").read_text().splitlines()]
    listed = {name: checksum for checksum, name in lines}
    files = [file for file in folder.iterdir() if file.suffix in (".js", ".css")]
    found = {file.name: sha256(file.read_bytes()).hexdigest() for file in files}
    assert found == listed
    assert [file for file in found if file not in (folder / "README.md").read_text()] == []
    assert list(folder.glob("LICENSE*"))


# How it shows what it found


def test_a_cell_is_shown_as_its_tokens_and_what_is_around_them() -> None:
    found = cells.pieces(f'["{IP_TOKEN}", null]')
    assert [(piece.text, piece.is_token) for piece in found] == [('["', False), (IP_TOKEN, True), ('", null]', False)]
    assert found[1].short == "t1_WkFUYRuXp…"
    assert 0 <= found[1].hue < cells.HUES


def test_what_comes_from_a_stack_is_escaped() -> None:
    assert "<b>" not in pages.render("refused.html", title="<b>", advice="<b>")


@pytest.mark.parametrize(("value", "shown"), [(0, "0"), (1_234_567, "1\u202f234\u202f567")])
def test_a_number_has_its_thousands_apart(value: int, shown: str) -> None:
    assert pages.number(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"),
        ("?", "?"),
        ("2026-01-31T10:30:00.123+01:00", "2026-01-31 09:30:00"),
        (datetime(2026, 1, 31, 9, 30, tzinfo=UTC), "2026-01-31 09:30:00"),
    ],
)
def test_a_moment_is_shown_in_utc(value: Any, shown: str) -> None:
    assert pages.moment(value) == shown


@pytest.mark.parametrize(("seconds", "shown"), [(0.4, "0 s"), (119, "119 s"), (120, "2 min"), (200_000, "2 d")])
def test_an_age_has_one_unit(seconds: float, shown: str) -> None:
    assert pages.age(seconds) == shown


NOW = datetime(2026, 1, 31, tzinfo=UTC)
REFUSED = {"stream": "orders", "reason": "sqlstate_23514", "pointer": ""}
LETTER = REFUSED | {"receive_count": 10, "age_seconds": 60, "bytes": 9, "id": "1"}
OUTAGE = "database: SQLSTATE 57P03"
RECORD = Record(stream="orders", mapping="", function="", why=OUTAGE, tripped_at=NOW, probe_at=NOW)
LANE = Lane("orders", "", Depth(0, 0), Depth(0, 0), "Disabled", RECORD, "", None, {}, UNKNOWN)
LISTED = {
    "stream": "orders",
    "streams": ["orders"],
    "more": False,
    "most": 0,
    "why": "",
    "is_asked": True,
    "reasons": [],
}
NAMED = ("sqlstate_23514 (check_violation)", f"{OUTAGE} (cannot_connect_now)")


@pytest.mark.parametrize(
    ("template", "context"),
    [
        ("refusals.html", {"groups": [refusals.Group(**REFUSED, count=1, newest=NOW)], "stream": "", "streams": []}),
        ("refusal.html", REFUSED | {"place": "", "refusals": [], "broken": None, "html": "", "heading": ""}),
        ("letters.html", LISTED | {"letters": [LETTER], "rejected_as": ""}),
        ("letters.html", LISTED | {"letters": [], "rejected_as": "sqlstate_23514"}),
        ("flow_lanes.html", {"seen": Seen([LANE], ""), "jobs": [], "wait_words": wait_words}),
        (
            "charts.html",
            LISTED | {"window": "1d", "windows": WINDOWS, "trips": [Line(NOW, "breaker opened", "orders", OUTAGE)]},
        ),
    ],
)
def test_a_code_of_postgresql_has_its_name_beside_it(template: str, context: Mapping[str, Any]) -> None:
    frame = {"csrf": "", "site": site(Session()), "views": (), "here": "/"}
    shown = pages.render(template, **frame, **context)
    assert any(named in shown for named in NAMED)
    assert not re.search(r"reason=[^&\"]*\(", shown)  # what a link asks for is the code alone


def test_a_redrive_tells_what_still_fails_with_its_name() -> None:
    total = Total()
    total.add({"began_at": 0, "redriven": 1, "failing": {"sqlstate_23514": 2}})
    still = "stay, since they would still be rejected as: sqlstate_23514 (check_violation)"
    assert letters.told(total) == [("sent to the queue", 1), (still, 2)]


def test_a_ledger_that_does_not_tell_of_all_does_not_add_up() -> None:
    nothing = dict.fromkeys(("batches", *COUNTS), 0)
    one = Sum(nothing | {"received": 3, "written": 2, "removed": 1} | {OUTCOMES[-1]: 1}, 0.5)
    other = Sum(nothing | {"received": 1})
    assert (one.rows, one.adds_up, other.adds_up, Sum.of((one, other)).adds_up) == (1, True, False, False)
    assert Sum.of((one, other)).age_seconds == 0.5


def test_a_refusal_leads_to_the_rule_of_its_field() -> None:
    broken = refusals.broken("orders", "/lines/0/sku")
    assert broken == refusals.Broken("/lines/*/sku", "str", "Text(max=64)", ["lines[*].sku"], False)
    assert refusals.broken("orders", "/nothing") is None
    assert refusals.broken("of_another_release", "/ip") is None


def test_the_shape_of_a_refused_record_is_told_with_what_is_inside() -> None:
    shape = {"fields": {"customer": {"email": "string"}, "lines": "array"}, "bytes": 10}
    assert refusals.Refusal("", datetime.now(UTC), shape).fields == [("/customer/email", "string"), ("/lines", "array")]


def test_the_map_tells_what_is_kept_in_the_clear() -> None:
    found = {field.place: [column.is_clear for column in field.columns] for field in streams.fields(UserLogin)}
    assert (found["/ip"], found["/app_version"]) == ([False], [True, True])
    assert streams.head(Order)["subject"] == "customer.email"


def test_the_runbook_has_the_entry_of_every_cause_and_of_a_refusal() -> None:
    wanted = {cause.entry for cause in causes.CAUSES.values()} | {causes.OFF, causes.FUNCTION, causes.PAUSED}
    assert (wanted | {runbook.OF_A_REFUSAL}) - runbook.entries().keys() == set()
    html = runbook.entries()[causes.REACH]
    assert ("<a " in html, len(html) > 100) == (False, True)


# What goes on


def test_a_job_is_told_of_and_can_be_stopped() -> None:
    jobs = Jobs()
    undone = []

    def work(job: Job) -> None:
        for left in job.seconds(60):
            job.told = f"{left} s left"
        undone.append(job.name)

    job = jobs.start("Table", work, alone=True)
    with pytest.raises(Busy):
        jobs.start("Table", work, alone=True)
    jobs.stop(job.number)
    jobs.end()
    assert (undone, job.told, job.is_over, job.failed) == (["Table"], "60 s left", True, False)


def test_a_job_that_fails_says_so_without_the_errors_text(capsys: pytest.CaptureFixture[str]) -> None:
    def unforeseen(job: Job) -> None:
        raise ValueError("kn4ry")

    def unavailable(job: Job) -> None:
        raise Unavailable("The database does not answer.")

    jobs = Jobs()
    failed, foreseen = jobs.start("one", unforeseen), jobs.start("other", unavailable)
    jobs.end()
    assert (failed.failed, "kn4ry" in failed.told + capsys.readouterr().err) == (True, False)
    assert (foreseen.failed, foreseen.told) == (True, "The database does not answer.")


def test_what_is_told_of_a_job_waits_for_its_end_and_says_how_it_was() -> None:
    app = application(site(Session()), PORT, SECRETS)
    client = TestClient(app, base_url=f"http://{HOST}", headers=COOKIE)

    def work(job: Job) -> None:
        for left in job.seconds(60):
            job.told = f"{left} of 60 sent"

    job = app.state.jobs.start("Send to orders", work)
    assert f'hx-get="/jobs/{job.number}"' in pages.render("told.html", **pages.told("Sending 60.", job=job.number))
    assert client.get(f"/jobs/{job.number}").status_code == 204  # what is shown stays
    app.state.jobs.end()
    shown = client.get(f"/jobs/{job.number}").text
    assert ("Send to orders: 60 of 60 sent." in shown, "hx-get" in shown) == (True, False)
    assert "It is over." in client.get("/jobs/99").text


def test_one_look_is_for_all_who_look_and_there_is_none_while_nobody_does() -> None:
    looks: list[int] = []

    def look() -> int:
        looks.append(1)
        return len(looks)

    async def visit() -> list[list[str]]:
        closing = asyncio.Event()
        live = Live(look, 0.05, closing)
        assert looks == []

        async def first_two() -> list[str]:
            texts = live.texts(lambda seen: f"{min(seen, 2)}\nlines")
            return [await anext(texts), await anext(texts)]

        return list(await asyncio.gather(first_two(), first_two()))

    expected = ["data: 1\ndata: lines\n\n", "data: 2\ndata: lines\n\n"]
    assert asyncio.run(visit()) == [expected, expected]
    assert len(looks) == 2
