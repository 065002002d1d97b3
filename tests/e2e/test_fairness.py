"""One account's or organization's backlog is its own."""

import concurrent.futures
import os
import time

from harness.gateway import a_message, new_key, smtp_account
from harness.smtp_sink import free_port
from harness.waiting import eventually
from test_access import key, organization

BACKLOG = int(os.environ.get("POSTERN_BACKLOG", 3_000))


def send_many(gateway, secret, count):
    def some(share):
        client = gateway.client(secret)
        return [client.post("/v1/send", a_message()).status for _ in range(share)]

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        return [status for statuses in pool.map(some, [count // 8] * 8) for status in statuses]


def test_a_dead_accounts_backlog_delays_no_other(make_gateway, smtp_sink):
    dead, alive = new_key(), new_key()
    gateway = make_gateway(
        organizations=[
            organization("dead", key(dead, "SEND"), providers=[smtp_account(free_port())]),
            organization("alive", key(alive, "SEND", "MESSAGES_READ"),
                         providers=[smtp_account(smtp_sink.port)]),
        ],
        # A memory that the backlog would fill many times.
        changes={"queue": {"ready_messages": 64}},
    )
    assert send_many(gateway, dead, BACKLOG) == [202] * BACKLOG
    assert queued(gateway) >= BACKLOG - 1
    client = gateway.client(alive)
    taken = []
    for _ in range(20):
        begun = time.monotonic()
        receipt = client.send(a_message())
        gateway.wait_status(receipt["messageId"], "sent", key=alive)
        taken.append(time.monotonic() - begun)
    assert sorted(taken)[10] < 2, f"seconds from accept to sent: {taken}"
    assert queued(gateway) >= BACKLOG - 1, "none of the backlog was lost"


def queued(gateway):
    (line,) = [line for line in gateway.admin("/metrics").body.decode().splitlines()
               if line.startswith('postern_queue_items{queue="deliveries"}')]
    return float(line.split()[-1])


def test_a_backlog_drains_when_its_account_is_back(make_gateway, make_peer):
    port = free_port()
    gateway = make_gateway([smtp_account(port)], changes={"queue": {"ready_messages": 64}})
    count = 400
    assert send_many(gateway, gateway.key, count) == [202] * count
    peer = make_peer(port=port)
    eventually(lambda: len(peer.received) == count, "all of it was delivered")
    eventually(lambda: queued(gateway) == 0, "nothing is left")
