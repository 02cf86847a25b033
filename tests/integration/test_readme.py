"""The README's stream of one's own, written down word by word, works."""

import shutil
from importlib.resources import files
from pathlib import Path

import pytest

import streams
from sluice.deadline import Deadline
from sluice.declaration.registry import load
from sluice.ingest.batch import StoringBatchProcessor, record_handler
from sluice.ingest.store import Store
from sluice.migrate import migrations, schema
from sluice.postgres.database import Database
from sluice.pseudonyms.keyset import Keyset
from sluice.settings import VaultSettings
from sluice.vault.sealing import Vault
from tests.documentation import files_of_ones_own_stream
from tests.integration.databases import LOGINS, TestDatabase
from tests.integration.environment import VAULT_KEY
from tests.integration.messages import KEYSET, record, token
from tests.versions import NEWEST
from tools.project import DECLARED


@pytest.fixture
def own_streams(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the streams, with every file that the README tells to write."""
    folder = tmp_path / "layers" / "streams"
    shutil.copytree(DECLARED / "streams", folder)
    for name, text in files_of_ones_own_stream().items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(streams, "__path__", [str(folder)])
    monkeypatch.setattr(migrations, "files", lambda name: folder if name == "streams" else files(name))
    return folder


def test_the_readmes_stream_takes_a_record_in(own_streams: Path, database: TestDatabase, deadline: Deadline) -> None:
    owner = Database(database.settings("owner"), "sluice-migrate")
    assert schema.migrate(owner, LOGINS, Keyset.parse(KEYSET), deadline) == NEWEST._replace(streams=1000)
    owner.close()

    stream = load("sign_ups")
    ingest = Database(database.settings(), "sluice-ingest")
    sign_up = {"name": "ada", "email": "Ada@Example.com", "country": "GB", "note": "ring twice"}
    good, bad = record(sign_up), record({**sign_up, "country": "GBR"})
    store = Store(ingest, [stream], Vault(VaultSettings(key_id=VAULT_KEY, stack="tests")))
    keyset = Keyset.parse(KEYSET)
    store.verify(keyset, deadline)
    processor = StoringBatchProcessor(store, deadline)
    with processor([good, bad], handler=record_handler(stream, keyset)):
        processor.process()
    ingest.close()

    assert processor.response() == {"batchItemFailures": [{"itemIdentifier": bad["messageId"]}]}
    assert database.rejections() == {bad["messageId"]: ("too_long", "/country")}
    assert database.rows("sign_ups") == [
        {
            "name": None,
            "email_token": token("email", "Ada@example.com"),
            "email_domain": "example.com",
            "country_code": "GB",
            "sent_at": "2026-01-31T23:59:59.999+00:00",
            "message_id": good["messageId"],
        }
    ]
