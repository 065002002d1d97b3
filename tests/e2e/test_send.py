"""A message that was sent over HTTP, seen from the server that receives it."""

import base64
import concurrent.futures
import email.utils
import mailbox
import os
import re
import sqlite3
import time

import pytest

from harness.gateway import a_message, concerned, events, smtp_account
from harness.waiting import eventually


@pytest.fixture
def relay(make_gateway, smtp_sink):
    """A gateway that relays into Postfix's smtp-sink."""
    gateway = make_gateway([smtp_account(smtp_sink.port)])
    gateway.sink = smtp_sink
    return gateway


def test_send_answers_202_and_the_sink_gets_the_mail(relay):
    receipt = relay.client().send(a_message())
    assert receipt["status"] == "queued"
    assert receipt["providerType"] == "SMTP"
    assert receipt["mode"] == "live"
    assert receipt["suppressedCount"] == 0
    assert receipt["domainVerified"] is False

    received = relay.sink.one()
    assert received.recipients == ["ada@example.net"]
    assert received.sender.split()[0] == "<shop@example.com>"
    assert received.helo == "gateway.example.com"
    mail = received.mail
    assert mail["From"] == "Shop <shop@example.com>"
    assert mail["To"] == "ada@example.net"
    assert mail["Subject"] == "Your order"
    assert mail["MIME-Version"] == "1.0"
    assert received.text() == "Thank you, Ada.\n"
    date = email.utils.parsedate_to_datetime(mail["Date"])
    assert abs(date.timestamp() - time.time()) < 600
    for name in ("From", "To", "Subject", "Date", "Message-ID", "MIME-Version"):
        assert len(mail.get_all(name)) == 1, name

    message = relay.wait_status(receipt["messageId"], "sent")
    assert message["messageIdHeader"] == mail["Message-ID"]
    assert message["providerId"] == receipt["providerId"]


def test_messages_answers_201_with_the_message_as_it_was_stored(relay):
    answer = relay.client().post(
        "/v1/messages",
        a_message(
            to=["Ada <ada@example.net>", "bob@example.net"], cc="eve@example.net",
            bcc=["archive@example.com"], tags=["receipt"], metadata={"order": "1815"},
            stream="bulk",
        ),
    )
    assert answer.status == 201
    message = answer.json["data"]
    assert message["status"] == "queued"
    assert message["stream"] == "bulk"
    assert message["from"] == "shop@example.com"
    assert message["to"] == ["ada@example.net", "bob@example.net"]
    assert message["cc"] == ["eve@example.net"]
    assert message["bcc"] == ["archive@example.com"]
    assert message["tags"] == ["receipt"]
    assert message["metadata"] == {"order": "1815"}
    assert [(r["address"], r["role"], r["status"]) for r in message["recipients"]] == [
        ("ada@example.net", "to", "queued"),
        ("bob@example.net", "to", "queued"),
        ("eve@example.net", "cc", "queued"),
        ("archive@example.com", "bcc", "queued"),
    ]
    assert [e["type"] for e in message["events"]] == ["QUEUED"]

    final = relay.wait_status(message["id"], "sent")
    for field in ("id", "organizationId", "from", "to", "cc", "bcc", "subject", "tags", "metadata",
                  "createdAt", "messageIdHeader", "stream", "mode"):
        assert final[field] == message[field], field
    assert final["events"][0] == message["events"][0]
    assert {r["status"] for r in final["recipients"]} == {"sent"}


def test_the_timeline_shows_who_took_the_message_and_when(relay):
    receipt = relay.client().send(a_message(to=["ada@example.net", "bob@example.net"]))
    message = relay.wait_status(receipt["messageId"], "sent")
    assert concerned(message, "SENT") == {"ada@example.net", "bob@example.net"}
    for event in events(message, "SENT"):
        assert event["attempt"] == 1
        assert event["providerId"] == receipt["providerId"]
    times = [e["at"] for e in message["events"]]
    assert times == sorted(times)
    assert message["updatedAt"] >= message["createdAt"]
    assert len({e["id"] for e in message["events"]}) == len(message["events"])


def test_a_blind_copy_is_in_the_envelope_and_nowhere_in_the_mail(relay):
    relay.client().send(a_message(cc="desk@example.com", bcc=["Secret <secret@example.org>"]))
    received = relay.sink.one()
    assert sorted(received.recipients) == [
        "ada@example.net", "desk@example.com", "secret@example.org",
    ]
    assert received.mail["Cc"] == "desk@example.com"
    assert received.mail["Bcc"] is None
    assert b"secret@example.org" not in received.data
    assert b"Secret" not in received.data


def test_to_and_cc_show_in_the_headers_of_one_message(relay):
    relay.client().send(
        a_message(to=["Ada <ada@example.net>", "bob@example.net"], cc=["c@example.com", "d@example.com"])
    )
    received = relay.sink.one()
    addresses = email.utils.getaddresses([received.mail["To"]])
    assert addresses == [("Ada", "ada@example.net"), ("", "bob@example.net")]
    assert [a for _, a in email.utils.getaddresses([received.mail["Cc"]])] == [
        "c@example.com", "d@example.com",
    ]


def test_html_and_text_are_alternatives_in_that_order_of_preference(relay):
    relay.client().send(a_message(html="<p>Grüße, <b>Ada</b></p>", text="Grüße, Ada"))
    mail = relay.sink.one().mail
    assert mail.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]
    assert mail.get_body(("html",)).get_content().strip() == "<p>Grüße, <b>Ada</b></p>"
    assert mail.get_body(("plain",)).get_content().strip() == "Grüße, Ada"


def test_html_alone_needs_no_text(relay):
    relay.client().send(a_message(html="<p>Hi</p>", text=None))
    mail = relay.sink.one().mail
    assert mail.get_body(("html",)).get_content().strip() == "<p>Hi</p>"
    assert mail.get_body(("plain",)) is None


def test_attachments_arrive_byte_for_byte(relay):
    binary = bytes(range(256)) * 40
    relay.client().send(
        a_message(
            attachments=[
                {"filename": "data.bin", "contentType": "application/octet-stream",
                 "content": base64.b64encode(binary).decode()},
                {"filename": "Straße 1 – Übersicht.txt", "contentType": "text/plain",
                 "content": base64.b64encode("ä\nb".encode()).decode()},
            ]
        )
    )
    mail = relay.sink.one().mail
    assert mail.get_content_type() == "multipart/mixed"
    first, second = list(mail.iter_attachments())
    assert first.get_payload(decode=True) == binary
    assert first.get_filename() == "data.bin"
    assert second.get_payload(decode=True) == "ä\nb".encode()
    assert second.get_filename() == "Straße 1 – Übersicht.txt"
    assert {p.get_content_disposition() for p in (first, second)} == {"attachment"}


def test_an_inline_image_is_related_to_its_html(relay):
    relay.client().send(
        a_message(
            html='<img src="cid:logo">',
            attachments=[{"filename": "logo.png", "contentType": "image/png",
                          "content": "iVBORw0KGgo=", "contentId": "logo",
                          "disposition": "inline"}],
        )
    )
    mail = relay.sink.one().mail
    related = next(p for p in mail.walk() if p.get_content_type() == "multipart/related")
    kinds = [p.get_content_type() for p in related.iter_parts()]
    assert kinds == ["text/html", "image/png"]
    image = list(related.iter_parts())[1]
    assert image["Content-ID"] == "<logo>"
    assert image.get_content_disposition() == "inline"
    assert image.get_payload(decode=True) == base64.b64decode("iVBORw0KGgo=")


def test_reply_to_and_custom_headers_are_in_the_mail(relay):
    relay.client().send(
        a_message(
            replyTo=["Help <help@example.com>", "desk@example.com"],
            headers={"X-Campaign": "spring", "X-Note": "grüße", "List-Id": "<news.example.com>"},
        )
    )
    mail = relay.sink.one().mail
    assert [a for _, a in email.utils.getaddresses([mail["Reply-To"]])] == [
        "help@example.com", "desk@example.com",
    ]
    assert mail["X-Campaign"] == "spring"
    assert mail["X-Note"] == "grüße"
    assert mail["List-Id"] == "<news.example.com>"


def test_tags_and_metadata_stay_with_the_message_and_out_of_the_mail(relay):
    receipt = relay.client().send(
        a_message(tags=["tag-a", "tag-b"], metadata={"customer": "metadata-17"})
    )
    message = relay.client().message(receipt["messageId"])
    assert message["tags"] == ["tag-a", "tag-b"]
    assert message["metadata"] == {"customer": "metadata-17"}
    received = relay.sink.one()
    assert b"metadata-17" not in received.data
    assert b"tag-a" not in received.data


def test_utf8_in_subject_and_names_is_encoded_for_a_server_that_knows_only_ascii(relay):
    subject = "Grüße – 你好 " * 12
    relay.client().send(
        a_message(subject=subject.strip(), **{"from": "Bücherei Ørsted <shop@example.com>"})
    )
    received = relay.sink.one()
    assert received.raw_headers.isascii()
    assert max(len(line) for line in received.raw_headers.splitlines()) <= 78
    assert received.mail["Subject"] == subject.strip()
    assert received.mail["From"].addresses[0].display_name == "Bücherei Ørsted"


def test_an_idn_domain_is_sent_in_its_ascii_form(relay):
    receipt = relay.client().send(a_message(to="info@Bücher.example"))
    received = relay.sink.one()
    assert received.recipients == ["info@xn--bcher-kva.example"]
    assert received.mail["To"] == "info@xn--bcher-kva.example"
    message = relay.client().message(receipt["messageId"])
    assert message["to"] == ["info@xn--bcher-kva.example"]


def test_a_utf8_local_part_goes_by_smtputf8(make_gateway, peer):
    gateway = make_gateway([smtp_account(peer.port)])
    receipt = gateway.client().send(a_message(to="grüße@bücher.example"))
    gateway.wait_status(receipt["messageId"], "sent")
    (received,) = peer.received
    assert received.recipients == ["grüße@bücher.example"]
    assert "SMTPUTF8" in received.sender
    assert "grüße@bücher.example".encode() in received.raw_headers


def test_a_utf8_local_part_is_not_sent_to_a_server_without_smtputf8(relay):
    receipt = relay.client().send(a_message(to="grüße@bücher.example"))
    message = relay.wait_final(receipt["messageId"])
    assert message["status"] in ("bounced", "failed")
    assert message["recipients"][0]["detail"]
    assert relay.sink.messages() == []


def test_lines_that_start_with_a_dot_arrive_as_they_were(relay):
    text = ".\n..\n.hidden\nlast"
    relay.client().send(a_message(text=text))
    assert relay.sink.one().text().rstrip("\n") == text


def test_long_lines_and_mixed_line_ends_survive(make_gateway, peer):
    gateway = make_gateway([smtp_account(peer.port)])
    text = "x" * 5000 + "\r\ntwo\nthree\r\n" + "ü" * 3000
    receipt = gateway.client().send(a_message(text=text))
    gateway.wait_status(receipt["messageId"], "sent")
    # The scripted peer refuses bare line feeds and lines of more than 1,000 octets.
    (received,) = peer.received
    assert received.text().rstrip("\n") == text.replace("\r\n", "\n")


def test_a_message_with_a_thousand_recipients_reaches_all(make_gateway, peer):
    gateway = make_gateway([smtp_account(peer.port)])
    addresses = [f"user{i}@example.net" for i in range(1000)]
    receipt = gateway.client().send(a_message(to="user0@example.net", bcc=addresses[1:]))
    message = gateway.wait_status(receipt["messageId"], "sent")
    got = sorted(a for received in peer.received for a in received.recipients)
    assert got == sorted(addresses)
    assert len(message["recipients"]) == 1000
    assert len({received.mail["Message-ID"] for received in peer.received}) == 1


def test_a_message_of_several_megabytes_arrives(make_gateway, peer):
    gateway = make_gateway([smtp_account(peer.port)])
    content = os.urandom(8 << 20)
    receipt = gateway.client().send(
        a_message(attachments=[{"filename": "big", "contentType": "application/octet-stream",
                                "content": base64.b64encode(content).decode()}])
    )
    gateway.wait_status(receipt["messageId"], "sent")
    (received,) = peer.received
    (part,) = received.mail.iter_attachments()
    assert part.get_payload(decode=True) == content


def test_a_forced_provider_account_is_used(make_gateway, make_sink):
    first, second = make_sink(), make_sink()
    gateway = make_gateway(
        [smtp_account(first.port, "first"), smtp_account(second.port, "second", priority=2)]
    )
    client = gateway.client()
    by_default = client.send(a_message(subject="one"))
    gateway.wait_status(by_default["messageId"], "sent")
    assert first.one("one")
    # The other one's id shows once something went through it.
    gateway.stop()
    gateway.config["organizations"][0]["providers"][0]["active"] = False
    gateway.write_config()
    gateway.start()
    other = gateway.client().send(a_message(subject="two"))
    assert other["providerId"] != by_default["providerId"]
    gateway.stop()
    gateway.config["organizations"][0]["providers"][0]["active"] = True
    gateway.write_config()
    gateway.start()
    forced = gateway.client().send(a_message(subject="three", providerId=other["providerId"]))
    assert forced["providerId"] == other["providerId"]
    assert second.one("three")
    assert len(first.messages()) == 1


def test_a_maildir_account_delivers(make_gateway, directory):
    outbox = directory / "outbox"
    gateway = make_gateway(
        [{"id": "outbox", "type": "MAILDIR", "settings": {"path": str(outbox)}}]
    )
    receipt = gateway.client().send(a_message(text="kept in a file"))
    assert receipt["providerType"] == "MAILDIR"
    message = gateway.wait_status(receipt["messageId"], "delivered")
    assert "DELIVERED" in [e["type"] for e in message["events"]]
    new = list(outbox.rglob("new/*"))
    assert len(new) == 1
    assert not list(outbox.rglob("tmp/*"))
    mail = mailbox.MaildirMessage(new[0].read_bytes())
    assert mail["Message-ID"] == message["messageIdHeader"]
    assert b"kept in a file" in new[0].read_bytes()


def test_test_keys_reach_the_sandbox_and_nothing_leaves(make_gateway, peer):
    gateway = make_gateway([smtp_account(peer.port)])
    receipt = gateway.client(gateway.test_key).send(a_message())
    assert receipt["mode"] == "test"
    message = gateway.wait_message(
        receipt["messageId"], lambda m: m["status"] in ("sent", "delivered"),
        "the sandbox takes it", key=gateway.test_key,
    )
    assert message["mode"] == "test"
    # A live message after it came and was sent: the other would have been before.
    live = gateway.client().send(a_message(subject="live"))
    gateway.wait_status(live["messageId"], "sent")
    assert [m.mail["Subject"] for m in peer.received] == ["live"]
    assert len(peer.sessions) == 1


def test_test_keys_need_no_active_provider(make_gateway):
    gateway = make_gateway([])
    receipt = gateway.client(gateway.test_key).send(a_message())
    assert receipt["status"] == "queued"
    gateway.wait_message(
        receipt["messageId"], lambda m: m["status"] in ("sent", "delivered"),
        "the sandbox takes it", key=gateway.test_key,
    )


@pytest.mark.parametrize("path", ["/v1/send", "/v1/messages"])
def test_without_an_active_provider_it_is_422_and_nothing_is_stored(make_gateway, peer, path):
    gateway = make_gateway([smtp_account(peer.port, active=False)])
    answer = gateway.client().post(path, a_message())
    assert answer.status == 422
    assert [code for _, code in answer.issues] == ["no_active_provider"]
    assert stored_messages(gateway) == 0


def stored_messages(gateway):
    """Rows of the message table, read with the database's own tool."""
    gateway.stop()
    with sqlite3.connect(f"file:{gateway.directory / 'postern.db'}?mode=ro", uri=True) as database:
        tables = [name for (name,) in database.execute(
            "select name from sqlite_master where type = 'table' and name like '%message%'")]
        assert tables
        return sum(database.execute(f'select count(*) from "{t}"').fetchone()[0] for t in tables)


def test_stored_messages_counts_what_is_there(make_gateway, smtp_sink):
    gateway = make_gateway([smtp_account(smtp_sink.port)])
    gateway.client().send(a_message())
    assert stored_messages(gateway) > 0


def test_a_message_id_is_a_version_7_uuid_and_names_the_mail(relay):
    receipts = [relay.client().send(a_message()) for _ in range(3)]
    ids = [r["messageId"] for r in receipts]
    assert ids == sorted(ids) and len(set(ids)) == 3
    assert all(re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7.*", i) for i in ids)
    headers = {m.mail["Message-ID"] for m in relay.sink.wait(3)}
    assert headers == {
        relay.client().message(i)["messageIdHeader"] for i in ids
    }


def test_messages_to_the_same_server_share_connections(make_gateway, peer):
    gateway = make_gateway([smtp_account(peer.port, max_connections=2)])
    client = gateway.client()
    for i in range(20):
        client.send(a_message(subject=f"n{i}"))
    eventually(lambda: len(peer.received) == 20, "all 20 are there")
    assert len(peer.sessions) <= 2


def test_one_tenants_impossible_value_fails_only_its_own_send(make_gateway, peer):
    gateway = make_gateway([smtp_account(peer.port)])
    odd = [
        a_message(subject="odd", text="a\0b"),
        a_message(subject="odd", metadata={"n\0ul": "x\0y"}),
        a_message(subject="odd", tags=["\0"]),
        a_message(subject="odd \U0001f4a9 \u202e", text="\ufffe\uffff"),
        a_message(subject="odd", metadata={"": ""}),
        a_message(subject="odd", html="\x1b[2J", text="\x7f"),
    ]
    answers = []

    def send_odd(_):
        answers.extend(gateway.client().post("/v1/send", body) for body in odd)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(send_odd, None) for _ in range(4)]
        good = [
            pool.submit(gateway.client().send, a_message(subject=f"good {i}")) for i in range(100)
        ]
        for each in waiting + good:
            each.result()
    assert {a.status for a in answers} <= {202, 400}
    for receipt in good:
        gateway.wait_status(receipt.result()["messageId"], "sent")
    for answer in answers:
        if answer.status == 202:
            gateway.wait_status(answer.json["messageId"], "sent")


def test_a_lone_surrogate_is_no_text(relay):
    body = b'{"from":"a@example.com","to":"b@example.net","subject":"\\ud800","text":"x"}'
    answer = relay.client().post("/v1/send", body=body)
    assert answer.status == 400
    assert answer.issues == [("", "malformed_json")]
