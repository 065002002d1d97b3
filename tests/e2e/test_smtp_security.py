"""STARTTLS, TLS and AUTH against a real Postfix, and against servers that can't be trusted."""

import pytest

from harness.certificates import Authority
from harness.gateway import a_message, events, smtp_account
from harness.postfix import PASSWORD, USER, Postfix
from harness.scripted_smtp import reply

CREDENTIALS = {"username": USER, "password": PASSWORD}


@pytest.mark.parametrize("mechanism", ["auto", "plain", "login", "cram-md5"])
def test_a_real_postfix_takes_mail_by_starttls_and_auth_and_relays_it(
    make_gateway, postfix, smtp_sink, mechanism
):
    gateway = make_gateway(
        [smtp_account(postfix.port, credentials=CREDENTIALS, security="starttls", auth=mechanism,
                      ca_file=str(postfix.authority.certificate))]
    )
    receipt = gateway.client().send(
        a_message(text="Grüße", to=["ada@example.net", "bob@example.net"], bcc="eve@example.net")
    )
    message = gateway.wait_status(receipt["messageId"], "sent")
    received = smtp_sink.wait(1)[0]
    assert sorted(received.recipients) == ["ada@example.net", "bob@example.net", "eve@example.net"]
    assert received.mail["Message-ID"] == message["messageIdHeader"]
    assert "with ESMTPSA" in received.mail["Received"]
    assert received.text().strip() == "Grüße"
    assert message["recipients"][0]["providerMessageId"] in postfix.read_log()
    if mechanism != "auto":
        assert f"sasl_method={mechanism.upper()}" in postfix.read_log()


def test_utf8_addresses_pass_a_real_postfix(make_gateway, make_peer, directory):
    sink = make_peer()
    server = Postfix(directory / "postfix8", sink.port)
    try:
        gateway = make_gateway(
            [smtp_account(server.port, credentials=CREDENTIALS, security="starttls",
                          ca_file=str(server.authority.certificate))]
        )
        receipt = gateway.client().send(a_message(to="grüße@bücher.example"))
        gateway.wait_status(receipt["messageId"], "sent")
        (received,) = sink.wait_received()
        assert received.recipients == ["grüße@bücher.example"]
    finally:
        server.stop()


def test_many_messages_reach_a_real_postfix_each_once(make_gateway, postfix, smtp_sink):
    gateway = make_gateway(
        [smtp_account(postfix.port, credentials=CREDENTIALS, security="starttls",
                      ca_file=str(postfix.authority.certificate))]
    )
    client = gateway.client()
    for i in range(50):
        client.send(a_message(subject=f"n{i}"))
    received = smtp_sink.wait(50)
    assert sorted(m.mail["Subject"] for m in received) == sorted(f"n{i}" for i in range(50))


def test_a_wrong_password_is_the_accounts_fault_and_leaks_nowhere(
    make_gateway, postfix, smtp_sink
):
    wrong = "not-the-password-of-anybody"
    gateway = make_gateway(
        [smtp_account(postfix.port, credentials={"username": USER, "password": wrong},
                      security="starttls", ca_file=str(postfix.authority.certificate))]
    )
    receipt = gateway.client().send(a_message())
    message = gateway.wait_message(
        receipt["messageId"], lambda m: events(m, "DEFERRED"), "an attempt"
    )
    detail = events(message, "DEFERRED")[0]["detail"]
    assert detail["verdict"] == "refused"
    assert detail["detail"].find(wrong) < 0
    assert smtp_sink.messages() == []


def refused_by(make_gateway, peer, **settings):
    """Sends through peer and answers the detail of the first attempt, which must have failed."""
    gateway = make_gateway([smtp_account(peer.port, **settings)])
    receipt = gateway.client().send(a_message())
    message = gateway.wait_message(
        receipt["messageId"], lambda m: events(m, "DEFERRED"), "an attempt"
    )
    assert peer.attempts == []
    assert peer.commands("MAIL") == []
    return events(message, "DEFERRED")[0]["detail"]


def test_a_certificate_of_an_unknown_authority_is_refused(make_gateway, make_peer, directory):
    known, unknown = Authority(directory / "known"), Authority(directory / "unknown")
    peer = make_peer(tls=unknown.server_context("mx.example.net"))
    detail = refused_by(make_gateway, peer, security="starttls", ca_file=str(known.certificate))
    assert "certificate" in detail["detail"].lower()


def test_a_certificate_without_a_trust_store_of_its_own_needs_the_systems(
    make_gateway, make_peer, authority
):
    peer = make_peer(tls=authority.server_context("mx.example.net"))
    detail = refused_by(make_gateway, peer, security="starttls")
    assert "certificate" in detail["detail"].lower()


def test_a_certificate_for_another_name_is_refused(make_gateway, make_peer, authority):
    context = authority.server_context("other", alternatives="DNS:other.example.org,IP:127.0.0.9")
    peer = make_peer(tls=context)
    detail = refused_by(
        make_gateway, peer, security="starttls", ca_file=str(authority.certificate)
    )
    assert detail["verdict"] in ("unreachable", "refused")


def test_the_name_to_verify_can_be_given(make_gateway, make_peer, authority):
    context = authority.server_context("other", alternatives="DNS:mx.example.org")
    peer = make_peer(tls=context)
    gateway = make_gateway(
        [smtp_account(peer.port, security="starttls", ca_file=str(authority.certificate),
                      server_name="mx.example.org")]
    )
    receipt = gateway.client().send(a_message())
    gateway.wait_status(receipt["messageId"], "sent")
    assert peer.sessions[-1].encrypted


def test_starttls_is_required_not_wished_for(make_gateway, peer):
    # The peer has no TLS and does not offer STARTTLS, as if someone had cut it from the answer.
    detail = refused_by(make_gateway, peer, security="starttls")
    assert "STARTTLS" in detail["detail"]


def test_a_refused_starttls_does_not_fall_back_to_plaintext(make_gateway, make_peer, authority):
    peer = make_peer(tls=authority.server_context("mx.example.net"))
    peer.on("starttls", reply("454 4.7.0 TLS not available"))
    refused_by(make_gateway, peer, security="starttls", ca_file=str(authority.certificate))


def test_opportunistic_uses_tls_where_it_is_offered(make_gateway, make_peer, authority):
    with_tls = make_peer(tls=authority.server_context("mx.example.net"))
    gateway = make_gateway([smtp_account(with_tls.port, security="opportunistic")])
    receipt = gateway.client().send(a_message())
    gateway.wait_status(receipt["messageId"], "sent")
    assert with_tls.sessions[-1].encrypted


def test_opportunistic_sends_in_the_clear_where_tls_is_not_offered(make_gateway, peer):
    gateway = make_gateway([smtp_account(peer.port, security="opportunistic")])
    receipt = gateway.client().send(a_message())
    gateway.wait_status(receipt["messageId"], "sent")
    assert not peer.sessions[-1].encrypted


def test_credentials_are_sent_after_starttls_only(make_gateway, make_peer, authority):
    peer = make_peer(tls=authority.server_context("mx.example.net"))
    gateway = make_gateway(
        [smtp_account(peer.port, credentials=CREDENTIALS, security="starttls",
                      ca_file=str(authority.certificate))]
    )
    receipt = gateway.client().send(a_message())
    gateway.wait_status(receipt["messageId"], "sent")
    session = peer.sessions[-1]
    assert session.authenticated is not None
    assert session.authenticated[-2:] == (USER, PASSWORD)
    verbs = [command.split()[0].upper() for command in session.commands]
    assert verbs.index("STARTTLS") < verbs.index("AUTH") < verbs.index("MAIL")
    assert verbs.count("EHLO") == 2


def test_an_oauth_token_goes_by_xoauth2(make_gateway, make_peer, authority):
    peer = make_peer(tls=authority.server_context("mx.example.net"))
    peer.extensions = [e for e in peer.extensions if not e.startswith("AUTH")] + ["AUTH XOAUTH2"]
    gateway = make_gateway(
        [smtp_account(peer.port, security="starttls", ca_file=str(authority.certificate),
                      credentials={"username": "a@example.com", "access_token": "ya29.token-value"})]
    )
    receipt = gateway.client().send(a_message())
    gateway.wait_status(receipt["messageId"], "sent")
    assert peer.sessions[-1].authenticated == (
        "XOAUTH2", "user=a@example.com\x01auth=Bearer ya29.token-value\x01\x01",
    )


def test_implicit_tls_speaks_tls_from_the_first_byte(make_gateway, make_peer, authority):
    peer = make_peer(tls=authority.server_context("mx.example.net"), implicit_tls=True)
    gateway = make_gateway(
        [smtp_account(peer.port, credentials=CREDENTIALS, security="tls",
                      ca_file=str(authority.certificate))]
    )
    receipt = gateway.client().send(a_message())
    gateway.wait_status(receipt["messageId"], "sent")
    assert peer.sessions[-1].encrypted
    assert peer.sessions[-1].authenticated[-2:] == (USER, PASSWORD)
