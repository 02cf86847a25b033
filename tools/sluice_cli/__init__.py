"""The command `sluice`, for those who declare streams and for those who run a deployed stack."""

import typer

from tools.sluice_cli import console
from tools.sluice_cli.authors import check, describe, migration, preview, sample, test
from tools.sluice_cli.authors.capacity import command as capacity
from tools.sluice_cli.authors.new import command as new
from tools.sluice_cli.operators import (
    adopt,
    audit,
    breaker,
    dead_letters,
    forget,
    keys,
    ledger,
    protect,
    reveal,
    send,
    tail,
)
from tools.sluice_cli.operators.doctor import command as doctor
from tools.sluice_cli.terminal import run

app = typer.Typer(
    help="Declare streams, look at what they make of records, and run what is deployed.",
    add_completion=False,
    pretty_exceptions_enable=False,  # they show local variables, which may hold a record
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(epilog="Example:  sluice new sign_ups --samples samples.jsonl --subject email")(new.new)
app.command(epilog="Example:  sluice check")(check.check)
app.command(epilog="Example:  sluice preview user_logins events/sqs_mixed_batch.json")(preview.preview)
app.command(epilog="Example:  sluice test orders")(test.test)
app.command(epilog="Example:  sluice sample orders --count 10")(sample.sample)
app.command(epilog="Example:  sluice describe orders --markdown")(describe.describe)
app.command(epilog="Example:  sluice migration orders --write")(migration.migration)
app.command(epilog="Example:  sluice capacity --records-per-second 1000")(capacity.capacity)
app.command(epilog="Example:  sluice send orders --generate 1000 --junk 5% --duplicates 5%")(send.send)
app.command(epilog="Example:  sluice tail orders --since 10m")(tail.tail)
app.command(epilog="Example:  sluice ledger user_logins --since 1d --by hour")(ledger.ledger)
app.command(epilog="Example:  sluice reveal t1_… --reason fraud_investigation --ticket PRIV-1")(reveal.reveal)
app.command(epilog="Example:  sluice doctor --stack sluice")(doctor.doctor)
app.command(
    epilog="Example:  sluice console", add_help_option=False, context_settings={"ignore_unknown_options": True}
)(console.console)
app.command(epilog="Example:  sluice status")(breaker.status)
app.command(epilog="Example:  sluice pause user_logins")(breaker.pause)
app.command(epilog="Example:  sluice resume user_logins")(breaker.resume)
app.command(epilog="Example:  sluice protect --stack sluice-prod")(protect.protect)
app.command(epilog="Example:  sluice adopt --stack sluice")(adopt.adopt)
app.add_typer(audit.app, name="audit")
app.add_typer(forget.app, name="forget")
app.add_typer(keys.app, name="keys")
app.add_typer(dead_letters.app, name="dead-letters")


def main() -> None:
    """Run the command."""
    run(app)
