"""Starting, stopping, restarting, and storage that fails."""

import concurrent.futures
import contextlib
import json
import os
import re
import resource
import signal
import sqlite3
import subprocess
import threading

import pytest

from harness.client import ConnectionEnded, encode
from harness.gateway import a_message, events, new_key, smtp_account
from harness.scripted_smtp import reply, silence
from harness.waiting import eventually


# ---- restart ----

def test_a_restart_keeps_everything(make_gateway, peer):
    peer.on("rcpt", reply("450 4.2.1 Later"), match="bob@")
    gateway = make_gateway([smtp_account(peer.port)])
    made = gateway.cli_json("keys", "create", "--organization", "demo", "--name", "cli",
                            "--permissions", "SEND,MESSAGES_READ")
    client = gateway.client()
    sent = client.send(a_message(subject="sent", tags=["t"], metadata={"a": "b"}))
    waiting = client.send(a_message(subject="waiting", to="bob@example.net"))
    before = gateway.wait_status(sent["messageId"], "sent")
    gateway.wait_status(waiting["messageId"], "deferred")

    gateway.restart()
    assert gateway.client().message(sent["messageId"]) == before
    assert gateway.client(made["key"]).message(sent["messageId"]) == before
    peer.clear()
    message = gateway.wait_status(waiting["messageId"], "sent")
    attempts = [e["attempt"] for e in message["events"] if e["attempt"]]
    assert attempts == sorted(set(attempts)), "attempts are counted on, not from the start"
    assert sorted(m.mail["Subject"] for m in peer.received) == ["sent", "waiting"]


def test_messages_accepted_while_the_peer_is_down_survive_a_kill(make_gateway, peer):
    peer.on("connect", reply("421 4.3.2 Not now"))
    gateway = make_gateway([smtp_account(peer.port)])
    client = gateway.client()
    receipts = [client.send(a_message(subject=f"n{i}")) for i in range(20)]
    gateway.kill()
    peer.clear()
    gateway.start()
    for receipt in receipts:
        gateway.wait_status(receipt["messageId"], "sent")
    assert sorted(m.mail["Subject"] for m in peer.received) == sorted(f"n{i}" for i in range(20))


def test_a_message_in_flight_at_a_kill_is_sent_again_with_the_same_message_id(make_gateway, peer):
    peer.on("body", silence, times=1)
    gateway = make_gateway([smtp_account(peer.port)])
    receipt = gateway.client().send(a_message())
    eventually(lambda: len(peer.attempts) == 1, "the content is there")
    gateway.kill()
    gateway.start()
    gateway.wait_status(receipt["messageId"], "sent")
    first, second = peer.attempts
    assert first.mail["Message-ID"] == second.mail["Message-ID"]


def test_two_gateways_cannot_share_one_sqlite_file(make_gateway):
    gateway = make_gateway()
    second = subprocess.run(
        [gateway.binary, "serve", "--config", str(gateway.config_file)],
        capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
    )
    assert second.returncode != 0
    assert "ready" not in second.stdout
    assert "postern.db" in second.stderr
    assert gateway.client(key=None).get("/v1/openapi.json").status == 200


def test_another_master_key_is_refused(make_gateway):
    gateway = make_gateway()
    gateway.stop()
    (gateway.directory / "master.key").write_text("x" * 44)
    gateway.launch()
    assert not gateway.wait_ready()
    assert gateway.wait_end() != 0
    assert "master" in gateway.log


def test_the_master_key_is_made_once_and_readable_by_its_owner_alone(make_gateway):
    gateway = make_gateway()
    file = gateway.directory / "master.key"
    key = file.read_bytes()
    assert len(key.strip()) >= 32
    assert file.stat().st_mode & 0o077 == 0
    gateway.restart()
    assert file.read_bytes() == key


def test_an_account_that_leaves_the_configuration_gets_no_new_mail(make_gateway, make_sink):
    old, new = make_sink(), make_sink()
    gateway = make_gateway([smtp_account(old.port, "old")])
    first = gateway.client().send(a_message(subject="first"))
    gateway.wait_status(first["messageId"], "sent")
    gateway.stop()
    gateway.config["organizations"][0]["providers"] = [smtp_account(new.port, "new")]
    gateway.write_config()
    gateway.start()
    second = gateway.client().send(a_message(subject="second"))
    assert second["providerId"] != first["providerId"]
    assert new.one("second")
    assert len(old.messages()) == 1


def test_a_key_that_leaves_the_configuration_stops_working(make_gateway):
    gateway = make_gateway()
    old = gateway.key
    gateway.stop()
    gateway.key = new_key()
    gateway.config["organizations"][0]["keys"][0]["key"] = gateway.key
    gateway.secrets.append(gateway.key)
    gateway.write_config()
    gateway.start()
    assert gateway.client(old).post("/v1/send", a_message()).status == 401
    assert gateway.client().post("/v1/send", body=b"{").status == 400


# ---- SIGTERM ----

def test_sigterm_lets_the_attempt_in_flight_end(make_gateway, peer):
    release = peer.hold()
    gateway = make_gateway([smtp_account(peer.port)])
    receipt = gateway.client().send(a_message())
    eventually(lambda: len(peer.attempts) == 1, "the content is there")
    gateway.terminate()
    eventually(lambda: not accepts(gateway), "it takes no more requests")
    assert gateway.process.poll() is None, "it waits for the attempt"
    release.set()
    assert gateway.wait_end() == 0
    gateway.start()
    assert gateway.client().message(receipt["messageId"])["status"] == "sent"
    assert len(peer.attempts) == 1


def accepts(gateway):
    try:
        with gateway.client(key=None).wire() as wire:
            wire.send(b"GET /v1/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n")
            return wire.read("GET", "/v1/openapi.json").status == 200
    except (OSError, ConnectionEnded):
        return False


def test_sigterm_does_not_wait_for_ever_and_loses_nothing(make_gateway, peer):
    peer.on("body", silence, times=1)
    gateway = make_gateway([smtp_account(peer.port)], changes={"dispatch": {"drain": "300ms"}})
    receipt = gateway.client().send(a_message())
    eventually(lambda: len(peer.attempts) == 1, "the content is there")
    gateway.stop()
    gateway.start()
    message = gateway.wait_status(receipt["messageId"], "sent")
    assert any(e["detail"].get("ambiguous") for e in events(message, "DEFERRED"))
    assert len(peer.attempts) == 2


def test_sigint_stops_as_sigterm_does(make_gateway):
    gateway = make_gateway()
    gateway.process.send_signal(signal.SIGINT)
    assert gateway.wait_end() == 0


def test_a_request_in_flight_at_sigterm_is_answered(make_gateway, peer):
    gateway = make_gateway([smtp_account(peer.port)])
    client = gateway.client()
    body = b'{"bogus": 1}'
    with client.wire() as wire:
        wire.send(encode("POST", "/v1/send", client.headers(body), body[:5]))
        # The head was read once another request on a new connection is answered.
        assert client.post("/v1/send", body=b"{").status == 400
        gateway.terminate()
        eventually(lambda: not accepts(gateway), "it takes no more requests")
        wire.send(body[5:])
        answer = wire.read("POST", "/v1/send")
        assert answer.status in (400, 503)
        assert answer.closes
        assert wire.ended()
    assert gateway.wait_end() == 0


def test_nothing_that_was_accepted_around_sigterm_is_lost(make_gateway, peer):
    gateway = make_gateway([smtp_account(peer.port)])
    accepted = []
    stop = threading.Event()

    def load(worker):
        client = gateway.client()
        count = 0
        while not stop.is_set():
            subject = f"n{worker}-{count}"
            count += 1
            try:
                if client.post("/v1/send", a_message(subject=subject)).status == 202:
                    accepted.append(subject)
            except (OSError, ConnectionEnded):
                return

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        workers = [pool.submit(load, i) for i in range(8)]
        eventually(lambda: len(accepted) >= 100, "some are accepted")
        gateway.terminate()
        assert gateway.wait_end() == 0
        stop.set()
        for worker in workers:
            worker.result()
    gateway.start()
    eventually(
        lambda: {m.mail["Subject"] for m in peer.received} >= set(accepted), "all are delivered"
    )
    subjects = [m.mail["Subject"] for m in peer.received]
    assert len(subjects) == len(set(subjects)), "a clean stop sends nothing twice"


# ---- health ----

def test_healthz_and_readyz_answer_on_the_admin_listener_alone(make_gateway):
    gateway = make_gateway()
    health = gateway.admin("/healthz")
    assert health.status == 200
    assert health.json == {"status": "ok"}
    ready = gateway.admin("/readyz")
    assert ready.status == 200
    assert ready.json == {
        "status": "ready", "checks": {"storage": "ok", "queue": "ok", "serving": "ok"},
    }
    assert gateway.client().get("/healthz").status == 404
    assert gateway.client().get("/readyz").status == 404
    assert gateway.admin("/v1/openapi.json").status == 404


def test_metrics_are_on_the_admin_listener(make_gateway, smtp_sink):
    gateway = make_gateway([smtp_account(smtp_sink.port)])
    receipt = gateway.client().send(a_message())
    gateway.wait_status(receipt["messageId"], "sent")
    answer = gateway.admin("/metrics")
    assert answer.status == 200
    assert b"# TYPE " in answer.body


# ---- storage that fails ----

@contextlib.contextmanager
def file_size_limit(process, size):
    """No file of the process may grow beyond this, as on a full disk; without root."""
    limits = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, limits)


@pytest.fixture
def small_disk(directory):
    """A file system of 4 MiB."""
    path = directory / "small"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", path], check=True)
    yield path
    subprocess.run(["umount", "-l", path], check=True)


def fill(path):
    with open(path / "filler", "wb", buffering=0) as filler:
        try:
            while True:
                filler.write(bytes(4096))
        except OSError:
            pass


def test_a_full_disk_is_503_and_nobody_gets_a_2xx_for_what_is_not_stored(
    make_gateway, peer, small_disk
):
    gateway = make_gateway(
        [smtp_account(peer.port)],
        changes={"storage": {"settings": {"path": str(small_disk / "postern.db")}}},
    )
    client = gateway.client()
    accepted = [client.send(a_message(subject="before"))["messageId"]]
    gateway.wait_status(accepted[0], "sent")
    fill(small_disk)

    answers = [
        client.post("/v1/send", a_message(subject=f"full {i}", text="x" * 20_000))
        for i in range(40)
    ]
    refused = [a for a in answers if a.status == 503]
    assert {a.status for a in answers} <= {202, 503}
    assert len(refused) >= 10
    for answer in refused:
        assert int(answer.header("Retry-After")) >= 1
    accepted += [a.json["messageId"] for a in answers if a.status == 202]
    assert gateway.admin("/healthz").status == 200
    # What was accepted can still be read.
    assert client.message(accepted[0])["id"] == accepted[0]

    (small_disk / "filler").unlink()
    eventually(
        lambda: client.post("/v1/send", a_message(subject="after")).status == 202,
        "sends are accepted again",
    )
    for message_id in accepted:
        gateway.wait_status(message_id, "sent")
    subjects = [m.mail["Subject"] for m in peer.received]
    assert len([s for s in subjects if s.startswith("full")]) == len(accepted) - 1
    gateway.stop()


def test_a_write_error_is_503_and_it_recovers(make_gateway, peer):
    gateway = make_gateway([smtp_account(peer.port)], start=False)
    # SIGXFSZ must not end the process: then a write beyond the limit is an error like another.
    gateway.before_exec = lambda: signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    gateway.start()
    client = gateway.client()
    first = client.send(a_message(subject="before"))
    gateway.wait_status(first["messageId"], "sent")
    with file_size_limit(gateway.process, 4096):
        answers = [client.post("/v1/messages", a_message(subject="no")) for _ in range(5)]
        assert [a.status for a in answers] == [503] * 5
        assert all(int(a.header("Retry-After")) >= 1 for a in answers)
        unready = gateway.admin("/readyz")
        assert unready.status == 503
        assert unready.json["checks"]["storage"] == "failing"
    eventually(
        lambda: client.post("/v1/send", a_message(subject="after")).status == 202,
        "sends are accepted again",
    )
    eventually(lambda: "after" in [m.mail["Subject"] for m in peer.received], "it is delivered")
    assert "no" not in [m.mail["Subject"] for m in peer.received]


def test_a_full_queue_is_503_until_there_is_room(make_gateway, peer):
    peer.on("rcpt", reply("450 4.2.1 Later"))
    gateway = make_gateway([smtp_account(peer.port)], changes={"queue": {"max_messages": 10}})
    client = gateway.client()
    eventually(lambda: client.post("/v1/send", a_message()).status == 503, "the queue is full")
    unready = gateway.admin("/readyz")
    assert unready.status == 503
    assert unready.json["checks"]["queue"] == "full"
    peer.clear()
    eventually(lambda: client.post("/v1/send", a_message()).status == 202, "there is room again")


def test_a_storage_file_from_the_future_is_refused(make_gateway):
    gateway = make_gateway()
    gateway.stop()
    with contextlib.closing(sqlite3.connect(gateway.directory / "postern.db")) as database:
        version = database.execute("pragma user_version").fetchone()[0]
        if version:
            database.execute("pragma user_version = 999999")
        else:
            table = next(
                name for (name,) in database.execute(
                    "select name from sqlite_master where type = 'table'")
                if "schema" in name or "migration" in name
            )
            column = database.execute(f'pragma table_info("{table}")').fetchall()[0][1]
            database.execute(f'update "{table}" set "{column}" = 999999')
        database.commit()
    gateway.launch()
    assert not gateway.wait_ready()
    assert gateway.wait_end() != 0


def test_a_file_that_is_no_database_is_refused(make_gateway):
    gateway = make_gateway(start=False)
    (gateway.directory / "postern.db").write_bytes(os.urandom(8192))
    gateway.launch()
    assert not gateway.wait_ready()
    assert gateway.wait_end() != 0
    assert "postern.db" in gateway.log


def test_a_port_that_is_taken_is_named(make_gateway):
    first = make_gateway()
    second = make_gateway(
        changes={"server": {"api": {"listen": f"127.0.0.1:{first.port}"}}}, start=False
    )
    second.launch()
    assert not second.wait_ready()
    assert second.wait_end() != 0
    assert re.search(rf"127\.0\.0\.1\D+{first.port}\b.*in use", second.log), second.log


# ---- logs ----

def test_the_logs_name_requests_and_messages_and_never_a_secret_or_a_body(make_gateway, peer):
    password = "password-that-must-not-be-logged"
    gateway = make_gateway(
        [smtp_account(peer.port, credentials={"username": "u", "password": password},
                      allow_plaintext_auth=True)],
        changes={"logging": {"level": "debug", "format": "json"}},
    )
    secrets = ["body-text-that-must-not-be-logged", "html-text-that-must-not-be-logged",
               "ZmlsZS1jb250ZW50LXRoYXQtbXVzdC1ub3QtYmUtbG9nZ2Vk"]
    gateway.secrets += secrets
    client = gateway.client()
    peer.on("rcpt", reply("450 4.2.1 Later"), times=1)
    accepted = client.post(
        "/v1/send",
        a_message(text=secrets[0], html=secrets[1],
                  attachments=[{"filename": "a", "contentType": "text/plain",
                                "content": secrets[2]}]),
    )
    message_id = accepted.json["messageId"]
    gateway.wait_status(message_id, "sent")
    stranger = new_key()
    gateway.secrets.append(stranger)
    refused = gateway.client(stranger).post("/v1/send", a_message(text=secrets[0]))
    assert refused.status == 401
    client.post("/v1/send", body=b'{"text": "' + secrets[0].encode() + b'"')
    client.post("/v1/send", a_message(text=secrets[0], to="nobody"))
    gateway.stop()
    gateway.check_log()

    lines = [json.loads(line) for line in gateway.log.splitlines() if line.startswith("{")]
    assert len(lines) == len(gateway.log.splitlines()), "every line is JSON"
    about = [line for line in lines if message_id in line.values()]
    assert len(about) >= 3, "accepted, deferred, sent"
    assert any(accepted.header("X-Request-Id") in line.values() for line in about)


def test_the_check_of_the_logs_can_fail(make_gateway):
    gateway = make_gateway(start=False)
    gateway.log_file.write_text(f"oops {gateway.key}\n")
    with pytest.raises(AssertionError):
        gateway.check_log()
    gateway.log_file.write_text("==1==ERROR: AddressSanitizer: heap-use-after-free\n")
    with pytest.raises(AssertionError):
        gateway.check_log()
    gateway.log_file.unlink()

