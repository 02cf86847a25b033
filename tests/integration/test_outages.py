"""What the batch needs is missing or busy: tried again where that helps, else an outage that leaves nothing behind."""

import json
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from pg8000.native import Connection

from sluice.deadline import Deadline
from sluice.failures import Outage
from sluice.postgres import database as database_module
from sluice.postgres.database import Database
from tests.integration.databases import INGEST_PASSWORD, INGEST_ROLE, TestDatabase, in_seconds, plain_address, until
from tests.integration.environment import Environment, OpenStore, write
from tests.integration.messages import event, masked_rows, numbered, record, row
from tools.local.server import free_port
from tools.testing.aws.account import FakeAws
from tools.testing.faults.proxy import SSL_REQUEST, Proxy, proxy

pytestmark = pytest.mark.directly("it is about connections, which a pooler makes and ends by itself")

# On a table of Sluice's own: what a trigger on the stream's table raises is the row's fault, whatever its code.
FAIL_SOME = """
CREATE SEQUENCE tries;
CREATE FUNCTION fail_some() RETURNS trigger SECURITY DEFINER LANGUAGE plpgsql AS $$ BEGIN
  IF nextval('tries') <= {times} THEN RAISE EXCEPTION '%', NEW USING ERRCODE = '{sqlstate}'; END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER fail_some BEFORE INSERT ON pii_vault FOR EACH STATEMENT EXECUTE FUNCTION fail_some();
"""


def ticking(seconds: int) -> Deadline:
    """Return a deadline that far away, on a clock that ticks once whenever it is looked at."""
    return Deadline(seconds, count().__next__)


@pytest.fixture
def thread() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(max_workers=1) as executor:
        yield executor


# Tried again


@pytest.mark.parametrize("sqlstate", ["40001", "40P01", "55P03", "57014"])
def test_what_may_succeed_next_time_is_tried_again(sqlstate: str, database: TestDatabase, ingest: Environment) -> None:
    database.sql(FAIL_SOME.format(times=2, sqlstate=sqlstate))
    sent = record()
    assert ingest.invoke(event(sent)) == {"batchItemFailures": []}
    assert database.rows() == [row(sent)]
    assert database.value("SELECT last_value FROM tries") == 3


@pytest.mark.parametrize("sqlstate", ["40001", "40P01", "55P03", "57014"])
def test_what_does_not_succeed_in_time_is_an_outage(
    sqlstate: str, database: TestDatabase, open_store: OpenStore
) -> None:
    database.sql(FAIL_SOME.format(times=1000, sqlstate=sqlstate))
    with pytest.raises(Outage, match=rf"^database: SQLSTATE {sqlstate}$"):
        write(open_store(), masked_rows([1]), ticking(8))
    assert 1 < database.value("SELECT last_value FROM tries") <= 4  # each try looks at the clock twice
    assert database.rows() == []


def test_any_other_code_is_an_outage_at_once(database: TestDatabase, open_store: OpenStore, deadline: Deadline) -> None:
    database.sql(FAIL_SOME.format(times=1000, sqlstate="53100"))
    with pytest.raises(Outage, match=r"^database: SQLSTATE 53100$"):
        write(open_store(), masked_rows([1]), deadline)
    assert database.value("SELECT last_value FROM tries") == 1


def test_a_lock_that_somebody_holds_is_waited_for_in_several_tries(
    database: TestDatabase, ingest: Environment, thread: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(database_module.SETTINGS, "lock_timeout", "50")
    sent = record()
    with database.second_session() as other:
        other.run("BEGIN; LOCK TABLE user_logins")
        writing = thread.submit(ingest.invoke, event(sent))
        tries: set[Any] = set()

        def has_tried_three_times() -> bool:
            tries.update(
                begun
                for (begun,) in database.sql(
                    "SELECT xact_start::text FROM pg_stat_activity WHERE application_name = 'sluice-ingest'"
                    " AND wait_event_type = 'Lock'"
                )
            )
            return len(tries) >= 3

        until(has_tried_three_times)
        assert not writing.done()
        other.run("ROLLBACK")
    assert writing.result() == {"batchItemFailures": []}
    assert database.rows() == [row(sent)]


def test_a_lock_that_is_not_given_up_in_time_is_an_outage(database: TestDatabase, open_store: OpenStore) -> None:
    store = open_store()
    with database.second_session() as other:
        other.run("BEGIN; LOCK TABLE user_logins")
        with pytest.raises(Outage):
            write(store, masked_rows([1]), in_seconds(0.3))
        other.run("ROLLBACK")
    assert database.rows() == []
    assert write(store, masked_rows([1]), in_seconds(60)) == (1, 0, [])


@pytest.mark.own_server("only a superuser sets deadlock_timeout")
def test_the_loser_of_a_deadlock_tries_again_and_writes_what_is_new(
    database: TestDatabase, open_store: OpenStore, deadline: Deadline, thread: ThreadPoolExecutor
) -> None:
    insert = (
        "INSERT INTO user_logins (user_id, device_type, masked_ip, masked_device_id, app_version, app_version_text,"
        " sent_at, message_id) VALUES ('', '', '', '', 0, '', '1970-01-01', '{}')"
    )
    with database.second_session() as other:
        other.run("BEGIN; SET LOCAL deadlock_timeout TO '1min'")  # so that the other one looks for it first, and loses
        other.run(insert.format(numbered(2)))
        writing = thread.submit(write, open_store(), masked_rows([1, 2, 3]), deadline)
        database.one_waits()
        other.run(insert.format(numbered(1)))
        other.run("COMMIT")
    assert writing.result() == (1, 2, [])
    assert [(found["message_id"], found["user_id"] == "") for found in database.rows()] == [
        (numbered(1), True),
        (numbered(2), True),
        (numbered(3), False),
    ]


# Whatever happens


@pytest.mark.parametrize("error", [ValueError("what nobody foresaw"), KeyboardInterrupt()])
def test_an_unforeseen_exception_ends_the_transaction(
    error: BaseException, database: TestDatabase, fake_aws: FakeAws, deadline: Deadline
) -> None:
    connection = Database(database.settings(), "sluice-test")

    def work(session: Connection) -> None:
        session.run("INSERT INTO rejection VALUES (:id, '', '', '', '{}')", id=numbered(1))
        raise error

    with pytest.raises(type(error)):
        connection.transact(work, deadline)
    until(lambda: not database.backends("true"))
    assert connection.transact(lambda session: session.run("SELECT 1"), deadline) == [[1]]
    connection.close()
    assert database.rows("rejection") == []


def test_an_unreachable_server_is_an_outage(ingest: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_PORT", str(free_port()))
    with pytest.raises(Outage, match=r"^database: no connection, ConnectionRefusedError$"):
        ingest.invoke(event(record()))


def test_a_server_that_takes_no_more_connections_is_an_outage(
    database: TestDatabase, open_store: OpenStore, deadline: Deadline
) -> None:
    database.sql(f"ALTER ROLE {INGEST_ROLE} CONNECTION LIMIT 0")
    with pytest.raises(Outage, match=r"^database: SQLSTATE 53300$"):
        write(open_store(), masked_rows([1]), deadline)


def test_an_invocation_without_time_left_writes_nothing(database: TestDatabase, ingest: Environment) -> None:
    with pytest.raises(Outage, match=r"^out of time$"):
        ingest.invoke(event(record()), remaining_seconds=1)
    assert database.rows() == []


# Credentials


def rotate(database: TestDatabase, password: str) -> None:
    database.sql(f"ALTER ROLE {INGEST_ROLE} PASSWORD '{password}'")
    database.disconnect_all()


def test_a_password_rotated_while_warm_costs_no_batch_and_one_reading_of_the_secret(
    database: TestDatabase, ingest: Environment, fake_aws: FakeAws
) -> None:
    manager = fake_aws.secretsmanager
    first, second = record(message_id=numbered(1)), record(message_id=numbered(2))
    ingest.invoke(event(first))
    rotate(database, "rotated")
    manager.put_credentials("ingest", INGEST_ROLE, "rotated")
    assert ingest.invoke(event(second)) == {"batchItemFailures": []}
    assert database.rows() == [row(first), row(second)]
    assert manager.reads.count("ingest") == 2


@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
def test_credentials_that_stay_wrong_are_an_outage_until_the_secret_is_right(
    warm: bool, database: TestDatabase, open_store: OpenStore, fake_aws: FakeAws, deadline: Deadline
) -> None:
    manager = fake_aws.secretsmanager
    store = open_store()
    if warm:
        write(store, masked_rows([1]), deadline)
    rotate(database, "rotated")
    with pytest.raises(Outage, match=r"^database: SQLSTATE 28P01$"):
        write(store, masked_rows([2]), deadline)
    assert manager.reads.count("ingest") == 1 + warm  # read again once, where it was not new
    manager.put_credentials("ingest", INGEST_ROLE, "rotated")
    assert write(store, masked_rows([2]), deadline) == (1, 0, [])
    assert manager.reads.count("ingest") == 2 + warm


@pytest.mark.parametrize("secret", ["", "[]", '{"username": "u"}', json.dumps(INGEST_PASSWORD)])
def test_a_secret_that_holds_no_credentials_is_an_outage_that_does_not_show_it(
    secret: str, open_store: OpenStore, fake_aws: FakeAws, deadline: Deadline
) -> None:
    fake_aws.secretsmanager.secrets["ingest"] = secret
    with pytest.raises(Outage, match=r"^database secret: must be a JSON object with `username` and `password`$"):
        write(open_store(), masked_rows([1]), deadline)


def test_with_iam_authentication_a_new_token_opens_each_new_connection(
    certificate_file: Path, database: TestDatabase, open_store: OpenStore, fake_aws: FakeAws, deadline: Deadline
) -> None:
    with tls_proxy(database, certificate_file) as way:
        settings = database.settings("", "localhost", way.port, "verify-full", certificate_file, INGEST_ROLE)
        store = open_store(settings=settings)
        for number in (1, 2):  # the first token is no password any more when the second connection is made
            rotate(database, f"token {number}")
            assert write(store, masked_rows([number]), deadline) == (1, 0, [])
        database.disconnect_all()
    assert set(fake_aws.rds.asked) == {("localhost", way.port, INGEST_ROLE)}
    assert len(fake_aws.rds.asked) == 2
    assert fake_aws.secretsmanager.reads == []


# TLS


def test_without_tls_at_the_server_nothing_but_the_wish_for_it_is_sent(
    database: TestDatabase, open_store: OpenStore, deadline: Deadline
) -> None:
    with proxy(plain_address(database.server)) as way:
        store = open_store(settings=database.settings(port=way.port, tls="verify-full"))
        with pytest.raises(Outage, match=r"^database: no connection, InterfaceError$"):
            write(store, masked_rows([1]), deadline)
    assert way.sent == SSL_REQUEST


KEY_USAGES = (
    "digital_signature content_commitment key_encipherment data_encipherment key_agreement key_cert_sign crl_sign"
    " encipher_only decipher_only"
).split()


class Certificate(NamedTuple):
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    def with_key(self) -> bytes:
        return self.pem() + self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def certified(name: str, is_authority: bool, signer: Certificate | None = None) -> Certificate:
    """Return a certificate for a host or an authority, which signs itself if nobody else does."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    signing = signer.key if signer else key
    usage = dict.fromkeys(KEY_USAGES, False) | {"digital_signature": True, "key_cert_sign": is_authority}
    certificate = (
        x509.CertificateBuilder(
            signer.certificate.subject if signer else subject, subject, key.public_key(), x509.random_serial_number()
        )
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(**usage), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()), critical=False)
        .sign(signing, SHA256())
    )
    return Certificate(certificate, key)


@pytest.fixture(scope="module")
def certificate_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a certificate for `localhost`, which signed itself, and its key."""
    file = tmp_path_factory.mktemp("certificate") / "localhost.pem"
    file.write_bytes(certified("localhost", is_authority=True).with_key())
    return file


def tls_proxy(database: TestDatabase, certificate_file: Path) -> AbstractContextManager[Proxy]:
    certificate = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.load_cert_chain(certificate_file)
    return proxy(plain_address(database.server), certificate)


@pytest.mark.parametrize(
    ("host", "is_trusted", "error"),
    [
        ("localhost", True, None),
        ("127.0.0.1", True, "IP address mismatch, certificate is not valid for '127.0.0.1'"),
        ("localhost", False, "self-signed certificate"),
    ],
    ids=["verified", "another name", "unknown authority"],
)
def test_verify_full_verifies_authority_and_name(
    host: str,
    is_trusted: bool,
    error: str | None,
    certificate_file: Path,
    database: TestDatabase,
    open_store: OpenStore,
    deadline: Deadline,
) -> None:
    with tls_proxy(database, certificate_file) as way:
        authority = certificate_file if is_trusted else None
        store = open_store(settings=database.settings("ingest", host, way.port, "verify-full", authority))
        if error is None:
            assert write(store, masked_rows([1]), deadline) == (1, 0, [])
            database.disconnect_all()
        else:
            with pytest.raises(Outage, match=rf"^database: no connection, SSLCertVerificationError, {error}$"):
                write(store, masked_rows([1]), deadline)
            assert way.sent == SSL_REQUEST


@pytest.fixture
def rds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file of a server's certificate, which an authority signed that stands in the place of those of RDS."""
    authority = certified("Amazon RDS nowhere-1 Root CA", is_authority=True)
    bundle, server = tmp_path / "bundle.pem", tmp_path / "server.pem"
    bundle.write_bytes(authority.pem())
    server.write_bytes(certified("localhost", is_authority=False, signer=authority).with_key())
    monkeypatch.setattr(database_module, "RDS_AUTHORITIES", bundle)
    database_module._verifying.cache_clear()
    yield server
    database_module._verifying.cache_clear()


def test_a_server_is_known_by_the_authorities_of_rds_that_the_layer_brings(
    rds: Path, database: TestDatabase, open_store: OpenStore, deadline: Deadline
) -> None:
    with tls_proxy(database, rds) as way:
        store = open_store(settings=database.settings("ingest", "localhost", way.port, "verify-full"))
        assert write(store, masked_rows([1]), deadline) == (1, 0, [])
        database.disconnect_all()


def test_where_an_authority_is_given_no_other_is_trusted(
    rds: Path, certificate_file: Path, database: TestDatabase, open_store: OpenStore, deadline: Deadline
) -> None:
    with tls_proxy(database, rds) as way:
        store = open_store(settings=database.settings("ingest", "localhost", way.port, "verify-full", certificate_file))
        with pytest.raises(Outage, match=r", unable to get local issuer certificate$"):
            write(store, masked_rows([1]), deadline)


@pytest.mark.parametrize("content", [None, "no certificate"], ids=["missing", "of something else"])
def test_a_file_that_holds_no_authority_is_an_outage_that_names_the_setting(
    content: str | None, tmp_path: Path, database: TestDatabase, open_store: OpenStore, deadline: Deadline
) -> None:
    file = tmp_path / "ca.pem"
    if content:
        file.write_text(content)
    store = open_store(settings=database.settings(tls="verify-full", certificate_authority=file))
    with pytest.raises(
        Outage, match=r"^setting: DATABASE_CA, or sslrootcert: must name a file of certificates \(PEM\)$"
    ):
        write(store, masked_rows([1]), deadline)


def test_the_systems_authorities_are_trusted_beside_those_of_rds() -> None:
    context = database_module._verifying(None)
    alone = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    alone.load_verify_locations(database_module.RDS_AUTHORITIES)
    trusted = context.get_ca_certs(binary_form=True)
    for known in (ssl.create_default_context(), alone):
        assert set(known.get_ca_certs(binary_form=True)) < set(trusted)
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
