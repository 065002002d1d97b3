#!/usr/bin/python3
"""Says whether a history of kills is one that the gateway may have.

check_history.py DIRECTORY [--kills N] [--in-flight N]

DIRECTORY holds, one JSON object a line:

  clients.jsonl  what clients saw: id, recipient, status (null: no answer), message (its id, on 2xx)
  sink.jsonl     what the sink took: see recording_sink.py
  lives.jsonl    every process of the gateway: started (before it was), end ("killed", "crashed" at
                 a point, or "stopped"), point
  stored.jsonl   what the gateway itself says at the end: message, status, message_id; queued (whether
                 it still waits)

What must hold:

  1. A message whose client got a 2xx was taken by the sink, or still waits.
  2. Stored as sent means taken by the sink; taken by the sink and accepted means stored as sent, or
     still waiting.
  3. One life of the gateway sends a message once. Of what one life sent, later ones send again at
     most as many as calls were in flight when it was killed, and after a clean stop none.
  4. Every copy of a message has the same Message-ID and the same content; no two messages share one.
  5. The sink got nothing that no client sent, and nothing for anybody else.
"""

import argparse
import bisect
import collections
import json
import pathlib
import sys


def read(directory, name):
    with open(pathlib.Path(directory) / name, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def check(clients, sink, lives, stored, in_flight):
    """All that is wrong, in words, and a summary."""
    problems = []
    started = [life["started"] for life in lives]
    sent_by_id = {c["id"]: c for c in clients}
    if len(sent_by_id) != len(clients):
        problems.append("a client used an id twice: the history proves nothing")
    accepted = {c["id"]: c for c in clients if c["status"] is not None and c["status"] < 300}
    state = {s["message"]: s for s in stored}

    taken = collections.defaultdict(list)
    for mail in sink:
        asked = sent_by_id.get(mail["id"])
        if asked is None:
            problems.append(f"the sink got {mail['id'] or mail['message_id']!r}, which nobody sent")
            continue
        if mail["recipients"] != [asked["recipient"]]:
            problems.append(f"{mail['id']} went to {mail['recipients']}, not {asked['recipient']}")
        taken[mail["id"]].append(mail)

    # 1, 2
    for id_, client in accepted.items():
        row = state.get(client["message"])
        if row is None:
            problems.append(f"{id_} was answered {client['status']} and is stored no more")
            continue
        if not taken[id_] and not row["queued"]:
            problems.append(
                f"LOST: {id_} was answered {client['status']}, never reached the sink and is "
                f"{row['status']}"
            )
        if row["status"] == "sent" and not taken[id_]:
            problems.append(f"{id_} is stored as sent, and the sink has nothing of it")
        if taken[id_] and row["status"] != "sent" and not row["queued"]:
            problems.append(f"{id_} was taken by the sink and is stored as {row['status']}")
        for mail in taken[id_]:
            if mail["message_id"] != row["message_id"]:
                problems.append(f"{id_} went out as {mail['message_id']}, not {row['message_id']}")

    # 3
    again = collections.Counter()  # by life: what it had sent and a later one sent again
    for id_, mails in taken.items():
        by_life = [bisect.bisect_right(started, mail["connected"]) - 1 for mail in mails]
        if min(by_life, default=0) < 0:
            problems.append(f"{id_} came before any gateway was started")
        for life, count in collections.Counter(by_life).items():
            if count > 1:
                problems.append(f"{id_} was sent {count} times by one life ({life})")
        for life in sorted(set(by_life))[:-1]:
            again[life] += 1
    for life, count in again.items():
        allowed = 0 if lives[life]["end"] == "stopped" else in_flight
        if count > allowed:
            problems.append(
                f"{count} messages of life {life} ({lives[life]['end']} "
                f"{lives[life].get('point') or ''}) were sent again; {allowed} could be in flight"
            )

    # 4
    owner = {}
    for id_, mails in taken.items():
        if len({m["message_id"] for m in mails}) > 1:
            problems.append(f"copies of {id_} have several Message-IDs")
        if len({m["sha256"] for m in mails}) > 1:
            problems.append(f"copies of {id_} differ")
        for mail in mails:
            if not mail["message_id"]:
                problems.append(f"{id_} has no Message-ID")
            elif owner.setdefault(mail["message_id"], id_) != id_:
                problems.append(f"{id_} and {owner[mail['message_id']]} share a Message-ID")

    summary = {
        "sent": len(clients),
        "accepted": len(accepted),
        "unanswered": sum(c["status"] is None for c in clients),
        "taken by the sink": len(taken),
        "still queued": sum(s["queued"] for s in stored),
        "kills": sum(life["end"] != "stopped" for life in lives),
        "sent again": sum(again.values()),
        "most sent again after one kill": max(again.values(), default=0),
        "unanswered but delivered": sum(
            bool(taken[c["id"]]) for c in clients if c["status"] is None
        ),
    }
    return problems, summary


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("directory")
    parser.add_argument("--kills", type=int, default=0, help="at least so many are expected")
    parser.add_argument("--in-flight", type=int, default=20, help="calls at once, as configured")
    arguments = parser.parse_args()
    history = [
        read(arguments.directory, f"{name}.jsonl")
        for name in ("clients", "sink", "lives", "stored")
    ]
    problems, summary = check(*history, arguments.in_flight)
    if summary["kills"] < arguments.kills:
        problems.append(f"{summary['kills']} kills, not {arguments.kills}")
    for name, value in summary.items():
        print(f"{name}: {value}")
    for problem in problems[:50]:
        print(f"PROBLEM: {problem}", file=sys.stderr)
    if problems:
        print(f"{len(problems)} problems", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
