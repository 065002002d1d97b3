"""What the gateway makes of servers that defer, refuse, vanish and keep silent."""

import time

import pytest

from harness.gateway import a_message, concerned, events, new_key, smtp_account
from harness.scripted_smtp import (
    accept_then_disconnect, accept_then_silence, disconnect, dribble, reply, reply_and_close,
    reset, silence,
)
from harness.waiting import eventually


@pytest.fixture
def relay(make_gateway, peer):
    gateway = make_gateway([smtp_account(peer.port)])
    gateway.peer = peer
    return gateway


def recipients(message):
    return {r["address"]: r for r in message["recipients"]}


# ---- 4xx ----

@pytest.mark.parametrize("stage", ["mail", "rcpt", "data", "body"])
def test_4xx_is_retried_until_it_is_taken(relay, stage):
    relay.peer.on(stage, reply("451 4.3.0 Try again later"), times=2)
    receipt = relay.client().send(a_message())
    message = relay.wait_status(receipt["messageId"], "sent")
    assert len(events(message, "DEFERRED")) == 2
    assert [e["attempt"] for e in events(message, "DEFERRED")] == [1, 2]
    assert [e["attempt"] for e in events(message, "SENT")] == [3]
    for event in events(message, "DEFERRED"):
        assert event["detail"]["verdict"] == "deferred"
        assert event["detail"]["enhancedStatus"] == "4.3.0"
        assert "Try again later" in event["detail"]["detail"]
        assert not event["detail"].get("ambiguous")
    assert len(relay.peer.received) == 1


def test_while_it_is_deferred_the_message_says_so_and_why(relay):
    relay.peer.on("rcpt", reply("450 4.2.2 Mailbox full"))
    receipt = relay.client().send(a_message())
    message = relay.wait_status(receipt["messageId"], "deferred")
    (recipient,) = message["recipients"]
    assert recipient["status"] == "deferred"
    assert recipient["enhancedStatus"] == "4.2.2"
    assert "Mailbox full" in recipient["detail"]
    relay.peer.clear()
    relay.wait_status(receipt["messageId"], "sent")


def test_only_the_deferred_recipient_is_tried_again(relay):
    relay.peer.on("rcpt", reply("450 4.2.1 Greylisted"), match="bob@", times=1)
    receipt = relay.client().send(a_message(to=["ada@example.net", "bob@example.net"]))
    relay.wait_status(receipt["messageId"], "sent")
    first, second = relay.peer.received
    assert first.recipients == ["ada@example.net"]
    assert second.recipients == ["bob@example.net"]
    # The later copy still shows everybody it is addressed to, and is the same mail.
    assert second.mail["To"] == first.mail["To"]
    assert second.mail["Message-ID"] == first.mail["Message-ID"]
    assert second.data == first.data


def test_what_stays_deferred_is_given_up(make_gateway, peer):
    gateway = make_gateway(
        [smtp_account(peer.port)], changes={"dispatch": {"give_up_after": "1s"}}
    )
    peer.on("rcpt", reply("450 4.2.1 Never"))
    receipt = gateway.client().send(a_message())
    message = gateway.wait_status(receipt["messageId"], "failed")
    assert len(events(message, "DEFERRED")) >= 1
    assert concerned(message, "DROPPED") == {"ada@example.net"}
    assert peer.received == []


# ---- 5xx ----

@pytest.mark.parametrize("stage", ["rcpt", "data", "body"])
def test_5xx_is_final_and_never_retried(relay, stage):
    relay.peer.on(stage, reply("550 5.1.1 No such user"))
    receipt = relay.client().send(a_message())
    message = relay.wait_status(receipt["messageId"], "bounced")
    (recipient,) = message["recipients"]
    assert recipient["enhancedStatus"] == "5.1.1"
    assert "No such user" in recipient["detail"]
    assert concerned(message, "BOUNCED") == {"ada@example.net"}
    # Another message, accepted later, went through; the refused one was not tried again.
    relay.peer.clear()
    later = relay.client().send(a_message(subject="later"))
    relay.wait_status(later["messageId"], "sent")
    assert [m.mail["Subject"] for m in relay.peer.received] == ["later"]
    assert relay.client().message(receipt["messageId"]) == message


def test_5xx_fails_its_recipient_only(relay):
    relay.peer.on("rcpt", reply("550 5.1.1 No such user"), match="bob@")
    receipt = relay.client().send(
        a_message(to=["ada@example.net", "bob@example.net"], bcc="eve@example.net")
    )
    message = relay.wait_status(receipt["messageId"], "bounced")
    states = {address: r["status"] for address, r in recipients(message).items()}
    assert states == {
        "ada@example.net": "sent", "bob@example.net": "bounced", "eve@example.net": "sent",
    }
    assert concerned(message, "BOUNCED") == {"bob@example.net"}
    (received,) = relay.peer.received
    assert sorted(received.recipients) == ["ada@example.net", "eve@example.net"]


def test_deferred_refused_and_taken_recipients_of_one_message_go_their_ways(relay):
    relay.peer.on("rcpt", reply("550 5.1.1 No such user"), match="bob@")
    relay.peer.on("rcpt", reply("451 4.7.1 Greylisted"), match="eve@", times=2)
    receipt = relay.client().send(
        a_message(to=["ada@example.net", "bob@example.net", "eve@example.net"])
    )
    first = relay.wait_message(
        receipt["messageId"], lambda m: events(m, "DEFERRED"), "the first attempt"
    )
    assert first["status"] in ("deferred", "sending")
    relay.wait_status(receipt["messageId"], "bounced")
    assert [m.recipients for m in relay.peer.received] == [["ada@example.net"], ["eve@example.net"]]
    assert len([c for c in relay.peer.commands("RCPT") if "bob@" in c]) == 1


# ---- disconnects ----

@pytest.mark.parametrize("how", [disconnect, reset], ids=["close", "reset"])
@pytest.mark.parametrize("stage", ["connect", "ehlo", "mail", "rcpt", "data"])
def test_a_disconnect_before_the_content_is_retried_and_is_not_ambiguous(relay, stage, how):
    relay.peer.on(stage, how, times=1)
    receipt = relay.client().send(a_message())
    message = relay.wait_status(receipt["messageId"], "sent")
    assert len(relay.peer.received) == 1
    for event in events(message, "DEFERRED"):
        assert not event["detail"].get("ambiguous"), event


@pytest.mark.parametrize("stage", ["connect", "ehlo", "mail", "rcpt", "data"])
def test_421_at_any_stage_is_retried(relay, stage):
    relay.peer.on(stage, reply_and_close("421 4.3.2 Shutting down"), times=1)
    receipt = relay.client().send(a_message())
    relay.wait_status(receipt["messageId"], "sent")
    assert len(relay.peer.received) == 1


@pytest.mark.parametrize("how", [disconnect, reset], ids=["close", "reset"])
def test_a_disconnect_after_the_content_is_ambiguous_and_says_so(relay, how):
    relay.peer.on("body", how, times=1)
    receipt = relay.client().send(a_message())
    message = relay.wait_status(receipt["messageId"], "sent")
    (event,) = events(message, "DEFERRED")
    assert event["detail"]["ambiguous"] is True
    assert event["attempt"] == 1
    assert len(relay.peer.attempts) == 2
    assert relay.peer.attempts[0].data == relay.peer.attempts[1].data


def test_a_duplicate_after_a_lost_answer_carries_the_same_message_id(relay):
    relay.peer.on("body", accept_then_disconnect, times=1)
    receipt = relay.client().send(a_message())
    message = relay.wait_status(receipt["messageId"], "sent")
    first, second = relay.peer.received
    assert first.mail["Message-ID"] == second.mail["Message-ID"] == message["messageIdHeader"]


def test_an_ambiguous_outcome_is_retried_on_the_same_account(make_gateway, make_peer):
    first, second = make_peer(), make_peer()
    gateway = make_gateway(
        [smtp_account(first.port, "first"), smtp_account(second.port, "second", priority=2)]
    )
    first.on("body", accept_then_disconnect, times=2)
    receipt = gateway.client().send(a_message())
    message = gateway.wait_status(receipt["messageId"], "sent")
    assert len(first.attempts) == 3
    assert second.sessions == []
    assert {e["providerId"] for e in message["events"]} == {receipt["providerId"]}
    assert [e["detail"]["ambiguous"] for e in events(message, "DEFERRED")] == [True, True]


def test_an_ambiguous_outcome_is_held_where_the_organization_says_so(make_gateway, peer):
    gateway = make_gateway([smtp_account(peer.port)], start=False)
    gateway.config["organizations"][0]["unknown_outcome"] = "hold"
    gateway.write_config()
    gateway.start()
    peer.on("body", accept_then_disconnect, times=1)
    receipt = gateway.client().send(a_message())
    message = gateway.wait_message(
        receipt["messageId"], lambda m: events(m, "DEFERRED"), "the attempt is recorded"
    )
    assert events(message, "DEFERRED")[0]["detail"]["action"] == "hold"
    # Others pass it by, for longer than its retry would have taken.
    until = time.monotonic() + 1.0
    while time.monotonic() < until:
        later = gateway.client().send(a_message(subject="later"))
        gateway.wait_status(later["messageId"], "sent")
    assert [m.mail["Subject"] for m in peer.attempts].count("Your order") == 1
    # The operator decides.
    gateway.cli("queue", "retry", receipt["messageId"])
    gateway.wait_status(receipt["messageId"], "sent")
    assert [m.mail["Subject"] for m in peer.attempts].count("Your order") == 2


def test_an_unreachable_account_fails_over_at_once(make_gateway, make_peer):
    first, second = make_peer(), make_peer()
    first.on("connect", disconnect)
    gateway = make_gateway(
        [smtp_account(first.port, "first"), smtp_account(second.port, "second", priority=2)]
    )
    receipt = gateway.client().send(a_message())
    message = gateway.wait_status(receipt["messageId"], "sent")
    assert len(second.received) == 1
    (sent,) = events(message, "SENT")
    assert sent["providerId"] != receipt["providerId"]
    assert message["providerId"] == sent["providerId"]


def test_a_rejected_recipient_never_fails_over(make_gateway, make_peer):
    first, second = make_peer(), make_peer()
    first.on("rcpt", reply("550 5.1.1 No such user"))
    gateway = make_gateway(
        [smtp_account(first.port, "first"), smtp_account(second.port, "second", priority=2)]
    )
    receipt = gateway.client().send(a_message())
    gateway.wait_status(receipt["messageId"], "bounced")
    assert second.sessions == []


def test_an_account_that_is_down_is_used_again_when_it_is_back(relay):
    relay.peer.on("connect", disconnect)
    client = relay.client()
    receipts = [client.send(a_message(subject=f"n{i}")) for i in range(10)]
    eventually(lambda: len(relay.peer.sessions) >= 5, "it is tried")
    relay.peer.clear()
    for receipt in receipts:
        relay.wait_status(receipt["messageId"], "sent")
    assert sorted(m.mail["Subject"] for m in relay.peer.received) == sorted(
        f"n{i}" for i in range(10)
    )


# ---- slow and silent ----

@pytest.mark.parametrize(
    "stage, setting",
    [("connect", "greeting_timeout"), ("ehlo", "greeting_timeout"), ("mail", "mail_timeout"),
     ("rcpt", "rcpt_timeout"), ("data", "data_initiation_timeout")],
)
def test_a_silent_peer_is_left_at_its_timeout(make_gateway, peer, stage, setting):
    gateway = make_gateway([smtp_account(peer.port, **{setting: "1s"})])
    peer.on(stage, silence, times=1)
    start = time.monotonic()
    receipt = gateway.client().send(a_message())
    gateway.wait_status(receipt["messageId"], "sent")
    assert time.monotonic() - start >= 0.9
    assert len(peer.received) == 1


def test_silence_after_the_content_is_bounded_and_ambiguous(make_gateway, peer):
    gateway = make_gateway([smtp_account(peer.port, data_termination_timeout="1s")])
    peer.on("body", accept_then_silence, times=1)
    receipt = gateway.client().send(a_message())
    message = gateway.wait_status(receipt["messageId"], "sent")
    (event,) = events(message, "DEFERRED")
    assert event["detail"]["ambiguous"] is True
    assert len(peer.received) == 2


def test_a_whole_attempt_is_bounded_whatever_the_single_timeouts(make_gateway, peer):
    gateway = make_gateway(
        [smtp_account(peer.port)], changes={"dispatch": {"attempt_timeout": "1s"}}
    )
    peer.on("mail", silence, times=1)
    receipt = gateway.client().send(a_message())
    gateway.wait_status(receipt["messageId"], "sent")


def test_a_peer_that_dribbles_its_answers_is_understood(relay):
    relay.peer.on("connect", dribble("220 slow.example.net ESMTP"), times=1)
    relay.peer.on("mail", dribble("250 2.1.0 Ok"), times=1)
    relay.peer.on("body", dribble("250 2.0.0 Ok: queued as SLOW1"), times=1)
    receipt = relay.client().send(a_message())
    message = relay.wait_status(receipt["messageId"], "sent")
    assert message["recipients"][0]["providerMessageId"] == "SLOW1"
    assert len(relay.peer.attempts) == 1


def test_a_silent_account_holds_up_no_other(make_gateway, make_peer):
    silent, lively = make_peer(), make_peer()
    silent.on("mail", silence)
    one, two = new_key(), new_key()
    gateway = make_gateway(
        organizations=[
            {"id": "one", "keys": [{"name": "k", "key": one, "permissions": ["SEND"]}],
             "providers": [smtp_account(silent.port)]},
            {"id": "two",
             "keys": [{"name": "k", "key": two, "permissions": ["SEND", "MESSAGES_READ"]}],
             "providers": [smtp_account(lively.port)]},
        ],
        changes={"queue": {"ready_messages": 50}, "dispatch": {"drain": "500ms"}},
    )
    for i in range(300):
        gateway.client(one).send(a_message(subject=f"stuck {i}"))
    receipts = [gateway.client(two).send(a_message()) for _ in range(20)]
    for receipt in receipts:
        gateway.wait_status(receipt["messageId"], "sent", key=two)
    assert silent.received == []


def test_a_peer_that_talks_nonsense_is_no_reason_to_lose_the_message(relay):
    relay.peer.on("connect", reply("hello there"), times=1)
    relay.peer.on("mail", reply("999 what"), times=1)
    receipt = relay.client().send(a_message())
    relay.wait_status(receipt["messageId"], "sent")
    assert len(relay.peer.received) == 1


def test_a_peer_without_esmtp_still_gets_the_mail(relay):
    relay.peer.on("ehlo", reply("502 5.5.2 What is EHLO"))
    receipt = relay.client().send(a_message(text="Grüße"))
    relay.wait_status(receipt["messageId"], "sent")
    (received,) = relay.peer.received
    # Without 8BITMIME and SMTPUTF8 the mail must be ASCII.
    assert received.data.isascii()
    assert received.text().strip() == "Grüße"


def test_a_mail_above_the_servers_size_is_refused_before_it_is_sent(make_gateway, peer):
    peer.extensions = [e for e in peer.extensions if not e.startswith("SIZE")] + ["SIZE 20000"]
    gateway = make_gateway([smtp_account(peer.port)])
    receipt = gateway.client().send(a_message(text="x" * 30_000))
    message = gateway.wait_final(receipt["messageId"])
    assert message["status"] in ("bounced", "failed")
    assert peer.attempts == []
