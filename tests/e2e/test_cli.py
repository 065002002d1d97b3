"""The commands of the program, beside a running gateway and without one."""

import json
import re

import pytest

from harness.gateway import TREE, a_message, build_directory, events, new_key, smtp_account
from harness.scripted_smtp import reply
from harness.waiting import eventually

UUID = "019362f4-6b1c-7c3a-9d57-2f1f0c5a8e11"


# ---- check ----

BAD = """\
server:
  api: { listen: "127.0.0.1:99999" }
  admn: { listen: "127.0.0.1:0" }
plugins:
  directories: [%(plugins)s]
storage:
  plugin: sqlite
  settings: { path: postern.db }
secrets:
  master_key: "${file:master.key}"
logging: { level: loud }
organizations:
  - id: demo
    keys:
      - name: ci
        permissions: [SEND, FLY]
        key: "ms_live_value-that-must-not-be-shown-anywhere-at-all"
  - id: demo
dispatch: { retry_first: soon }
"""


@pytest.fixture
def bad_config(make_gateway):
    gateway = make_gateway(start=False)
    text = BAD % {"plugins": build_directory() / "lib" / "postern" / "plugins"}
    gateway.config_file.write_text(text)
    gateway.secrets.append("value-that-must-not-be-shown")
    return gateway


def test_check_says_all_that_is_wrong_with_line_and_column(bad_config):
    done = bad_config.cli("check", check=False)
    assert done.returncode == 1
    found = {}
    for line in done.stderr.splitlines():
        match = re.match(r".*postern\.yaml:(\d+):(\d+): (\S+): (.+)", line)
        if match:
            found[int(match[1])] = (int(match[2]), match[3], match[4])
    assert set(found) == {2, 3, 11, 16, 18, 19}, done.stderr
    assert found[2][1] == "server.api.listen"
    assert found[3][0] == 3
    assert "admin" in found[3][2], "a hint to the key that was meant"
    assert found[11][1] == "logging.level"
    assert "FLY" in found[16][2]
    assert "demo" in found[18][2]
    assert found[19][1] == "dispatch.retry_first"
    assert "value-that-must-not-be-shown" not in done.stderr + done.stdout


def test_a_bad_file_is_not_served(bad_config):
    bad_config.launch()
    assert not bad_config.wait_ready()
    assert bad_config.wait_end() == 1
    assert "postern.yaml:3:3" in bad_config.log
    assert not (bad_config.directory / "postern.db").exists()


def test_check_takes_a_good_file_and_starts_and_makes_nothing(make_gateway):
    gateway = make_gateway(start=False)
    done = gateway.cli("check")
    assert "fine" in done.stdout
    assert sorted(p.name for p in gateway.directory.iterdir()) == ["postern.yaml"]


@pytest.mark.parametrize(
    "text, line",
    [("server: {api: [\n", 1), ("a: 1\n\tb: 2\n", 2), ("server: x\n", 1), ("", 1), ("- a\n", 1)],
    ids=["unclosed", "tab", "wrong type", "empty", "list"],
)
def test_a_file_that_is_no_configuration_is_an_error_with_its_place(make_gateway, text, line):
    gateway = make_gateway(start=False)
    gateway.config_file.write_text(text)
    done = gateway.cli("check", check=False)
    assert done.returncode == 1
    assert re.search(r"postern\.yaml:\d+:\d+: ", done.stderr), done.stderr
    assert any(int(n) >= line for n in re.findall(r"postern\.yaml:(\d+):", done.stderr))


def test_check_knows_the_settings_of_the_plugins(make_gateway, peer):
    account = smtp_account(peer.port)
    account["settings"]["hots"] = "typo"
    account["settings"]["security"] = "sometimes"
    del account["settings"]["host"]
    gateway = make_gateway(
        [account, {"id": "x", "type": "SMPT", "settings": {}}], start=False
    )
    done = gateway.cli("check", check=False)
    assert done.returncode == 1
    for word in ("hots", "security", "host", "SMPT"):
        assert word in done.stderr
    assert '"SMTP"' in done.stderr, "the type that was meant"


def test_secrets_come_from_environment_and_files(make_gateway, peer):


    by_environment, by_file = new_key(), new_key()
    gateway = make_gateway([smtp_account(peer.port)], start=False)
    keys = gateway.config["organizations"][0]["keys"]
    keys[0]["key"] = "${env:TEST_POSTERN_KEY}"
    keys[1]["key"] = "${file:key.txt}"
    gateway.write_config()
    (gateway.directory / "key.txt").write_text(by_file + "\n")
    done = gateway.cli("check", check=False)
    assert done.returncode == 1 and "TEST_POSTERN_KEY" in done.stderr
    gateway.environment["TEST_POSTERN_KEY"] = by_environment
    gateway.start()
    for key in (by_environment, by_file):
        assert gateway.client(key).get(f"/v1/messages/{UUID}").status == 404


# ---- keys ----

def create(gateway, *arguments):
    made = gateway.cli_json("keys", "create", "--organization", "demo", "--name", "cli",
                            "--permissions", "SEND,MESSAGES_READ", *arguments)
    gateway.secrets.append(made["key"])
    return made


def test_a_made_key_works_at_once_and_is_shown_once(make_gateway, smtp_sink):
    gateway = make_gateway([smtp_account(smtp_sink.port)])
    made = create(gateway)
    assert re.fullmatch(r"ms_live_[A-Za-z0-9_-]{32,}", made["key"])
    answer = gateway.client(made["key"]).post("/v1/send", a_message())
    assert answer.status == 202
    listed = gateway.cli("keys", "list").stdout + gateway.cli("keys", "list", "--json").stdout
    assert made["id"] in listed
    assert made["key"] not in listed
    storage = b"".join(p.read_bytes() for p in gateway.directory.glob("postern.db*"))
    assert made["key"].encode() not in storage


def test_a_key_that_was_not_json_is_the_only_line_on_standard_output(make_gateway):
    gateway = make_gateway()
    done = gateway.cli("keys", "create", "--organization", "demo", "--name", "x",
                       "--permissions", "MESSAGES_READ")
    assert re.fullmatch(r"ms_live_[A-Za-z0-9_-]{32,}\n", done.stdout)
    key = done.stdout.strip()
    gateway.secrets.append(key)
    assert gateway.client(key).get(f"/v1/messages/{UUID}").status == 404
    assert gateway.client(key).post("/v1/send", a_message()).status == 403


def test_a_test_key_says_so(make_gateway):
    gateway = make_gateway()
    made = create(gateway, "--test")
    assert made["key"].startswith("ms_test_")
    receipt = gateway.client(made["key"]).send(a_message())
    assert receipt["mode"] == "test"


def test_a_revoked_key_is_401_within_about_a_second(make_gateway):
    gateway = make_gateway()
    made = create(gateway)
    client = gateway.client(made["key"])
    assert client.get(f"/v1/messages/{UUID}").status == 404
    gateway.cli("keys", "revoke", made["id"])
    eventually(lambda: client.get(f"/v1/messages/{UUID}").status == 401, "it stops working",
               timeout=5)
    gateway.restart()
    assert gateway.client(made["key"]).get(f"/v1/messages/{UUID}").status == 401
    # Again is no error, and other keys are not concerned.
    gateway.cli("keys", "revoke", made["id"])
    assert gateway.client().get(f"/v1/messages/{UUID}").status == 404


def test_keys_work_without_a_running_gateway(make_gateway):
    gateway = make_gateway()
    gateway.stop()
    made = create(gateway)
    gateway.start()
    assert gateway.client(made["key"]).get(f"/v1/messages/{UUID}").status == 404


def test_wrong_arguments_are_explained(make_gateway):
    gateway = make_gateway()
    base = ["keys", "create", "--name", "x"]
    for arguments, word in (
        ([*base, "--organization", "nobody", "--permissions", "SEND"], "nobody"),
        ([*base, "--organization", "demo", "--permissions", "FLY"], "FLY"),
        ([*base, "--organization", "demo"], "permissions"),
        (["keys", "revoke", UUID], UUID),
        (["keys", "revoke", "x"], "x"),
        (["fly"], "fly"),
    ):
        done = gateway.cli(*arguments, check=False)
        assert done.returncode != 0, arguments
        assert word in done.stderr, done.stderr


def test_every_command_explains_itself(make_gateway):
    gateway = make_gateway(start=False)
    for command in ([], ["serve"], ["check"], ["keys"], ["keys", "create"], ["send"], ["queue"],
                    ["queue", "list"], ["plugin"], ["plugin", "info"]):
        done = gateway.cli(*command, "--help", config=False)
        assert "postern" in done.stdout, command
        assert len(done.stdout.splitlines()) >= 5, command


# ---- send ----

def test_send_sends_through_the_running_gateway(make_gateway, smtp_sink):
    gateway = make_gateway([smtp_account(smtp_sink.port)])
    done = gateway.cli(
        "send", "--url", f"http://127.0.0.1:{gateway.port}", "--key", gateway.key,
        "--from", "Shop <shop@example.com>", "--to", "ada@example.net", "--to", "bob@example.net",
        "--subject", "From the command line", "--text", "Grüße", config=False,
    )
    receipt = json.loads(done.stdout)
    gateway.wait_status(receipt["messageId"], "sent")
    received = smtp_sink.one("From the command line")
    assert sorted(received.recipients) == ["ada@example.net", "bob@example.net"]
    assert received.text().strip() == "Grüße"


def test_send_shows_what_the_gateway_refuses(make_gateway):
    gateway = make_gateway()
    done = gateway.cli(
        "send", "--url", f"http://127.0.0.1:{gateway.port}", "--key", gateway.key,
        "--from", "nobody", "--to", "ada@example.net", "--subject", "x", "--text", "y",
        config=False, check=False,
    )
    assert done.returncode == 1
    assert "from" in done.stderr and "invalid_sender" in done.stderr


# ---- queue ----

@pytest.fixture
def deferring(make_gateway, peer):
    """A gateway whose peer says "later" to everybody, and that waits an hour then."""
    peer.on("rcpt", reply("450 4.2.1 Later"))
    gateway = make_gateway(
        [smtp_account(peer.port)],
        changes={"dispatch": {"retry_first": "1h", "retry_most": "1h"}},
    )
    gateway.peer = peer
    return gateway


def test_queue_list_and_show_tell_what_waits(deferring):
    receipts = [deferring.client().send(a_message(subject=f"n{i}")) for i in range(3)]
    for receipt in receipts:
        deferring.wait_status(receipt["messageId"], "deferred")
    listed = eventually(
        lambda: (found := deferring.cli_json("queue", "list"))["total"] == 3 and found,
        "three wait",
    )
    assert {d["messageId"] for d in listed["deliveries"]} == {r["messageId"] for r in receipts}
    for delivery in listed["deliveries"]:
        assert delivery["organization"] == "demo"
        assert delivery["state"] == "waiting"
        assert delivery["attempts"] == 1
    text = deferring.cli("queue", "list").stdout
    assert all(r["messageId"] in text for r in receipts)

    message_id = receipts[0]["messageId"]
    shown = deferring.cli_json("queue", "show", message_id)
    assert shown["id"] == message_id
    assert shown["status"] == "deferred"
    assert shown["recipients"][0]["address"] == "ada@example.net"
    assert "ada@example.net" in deferring.cli("queue", "show", message_id).stdout


def test_queue_retry_makes_it_due_now(deferring):
    receipt = deferring.client().send(a_message())
    deferring.wait_status(receipt["messageId"], "deferred")
    deferring.peer.clear()
    deferring.cli("queue", "retry", receipt["messageId"])
    deferring.wait_status(receipt["messageId"], "sent")
    assert deferring.cli_json("queue", "list")["deliveries"] == []


def test_queue_cancel_gives_it_up_for_good(deferring):
    receipt = deferring.client().send(a_message())
    deferring.wait_status(receipt["messageId"], "deferred")
    deferring.cli("queue", "cancel", receipt["messageId"])
    message = deferring.wait_status(receipt["messageId"], "canceled")
    assert {r["status"] for r in message["recipients"]} == {"canceled"}
    deferring.peer.clear()
    again = deferring.cli("queue", "retry", receipt["messageId"], check=False)
    assert again.returncode == 1
    later = deferring.client().send(a_message(subject="later"))
    deferring.wait_status(later["messageId"], "sent")
    assert [m.mail["Subject"] for m in deferring.peer.received] == ["later"]


def test_queue_commands_work_without_a_running_gateway(deferring):
    receipt = deferring.client().send(a_message())
    deferring.wait_status(receipt["messageId"], "deferred")
    deferring.stop()
    assert deferring.cli_json("queue", "list")["total"] == 1
    deferring.cli("queue", "cancel", receipt["messageId"])
    deferring.start()
    message = deferring.client().message(receipt["messageId"])
    assert message["status"] == "canceled"
    assert events(message, "QUEUED")


def test_queue_knows_nothing_of_a_message_that_is_not_there(deferring):
    for command in ("show", "retry", "cancel"):
        done = deferring.cli("queue", command, UUID, check=False)
        assert done.returncode == 1
        assert UUID in done.stderr


# ---- plugins ----

def test_plugin_list_names_what_the_gateway_would_load(make_gateway):
    gateway = make_gateway(start=False)
    listed = gateway.cli_json("plugin", "list")
    assert listed["problems"] == []
    names = {(p["kind"], p["name"]) for p in listed["plugins"]}
    assert names >= {("provider", "SMTP"), ("provider", "MAILDIR"), ("storage", "sqlite")}
    assert "SMTP" in gateway.cli("plugin", "list").stdout


def test_plugin_info_explains_every_plugin(make_gateway):
    gateway = make_gateway(start=False)
    for plugin in gateway.cli_json("plugin", "list")["plugins"]:
        info = gateway.cli_json("plugin", "info", plugin["file"], config=False)
        assert info["plugin"]["name"] == plugin["name"]
        assert info["problems"] == []
        text = gateway.cli("plugin", "info", plugin["file"], config=False).stdout
        for field in info["plugin"]["settings"]:
            assert field["description"], field
            assert field["name"] in text


def test_plugin_info_refuses_what_is_no_plugin(make_gateway):
    gateway = make_gateway(start=False)
    for file in (TREE / "CMakeLists.txt", "/nonexistent.so", gateway.binary):
        done = gateway.cli("plugin", "info", file, config=False, check=False)
        assert done.returncode == 1
        assert str(file) in done.stderr


def test_a_storage_plugin_that_is_not_there_is_named(make_gateway):
    gateway = make_gateway(changes={"storage": {"plugin": "sqlight"}}, start=False)
    done = gateway.cli("check", check=False)
    assert done.returncode == 1
    assert "sqlight" in done.stderr and "sqlite" in done.stderr
