"""The checker finds what it is there to find."""

import copy

import pytest

from check_history import check


def history():
    """Three messages, one of them sent again after a kill: what a right gateway may do."""
    clients = [
        {"id": "a", "recipient": "a@x", "status": 202, "message": "1"},
        {"id": "b", "recipient": "b@x", "status": 202, "message": "2"},
        {"id": "c", "recipient": "c@x", "status": None, "message": None},
    ]
    sink = [mail("a", 1.5), mail("b", 1.6), mail("b", 2.5), mail("c", 2.6)]
    lives = [
        {"started": 1.0, "end": "killed", "point": None},
        {"started": 2.0, "end": "stopped", "point": None},
    ]
    stored = [
        {"message": "1", "status": "sent", "message_id": "<a@x>", "queued": False},
        {"message": "2", "status": "sent", "message_id": "<b@x>", "queued": False},
    ]
    return {"clients": clients, "sink": sink, "lives": lives, "stored": stored}


def mail(id_, at):
    return {"connected": at, "at": at, "id": id_, "message_id": f"<{id_}@x>",
            "recipients": [f"{id_}@x"], "sha256": id_}


def problems(changed, in_flight=1):
    return check(changed["clients"], changed["sink"], changed["lives"], changed["stored"],
                 in_flight)[0]


def test_a_right_history_has_no_problem():
    assert problems(history()) == []


def test_a_message_that_still_waits_is_not_lost():
    h = history()
    h["sink"] = [m for m in h["sink"] if m["id"] != "a"]
    h["stored"][0].update(status="deferred", queued=True)
    assert problems(h) == []


def lose(h):
    h["sink"] = [m for m in h["sink"] if m["id"] != "a"]
    h["stored"][0]["status"] = "failed"


def forget(h):
    del h["stored"][0]


def pretend(h):
    h["sink"] = [m for m in h["sink"] if m["id"] != "a"]


def fail_what_was_taken(h):
    h["stored"][0]["status"] = "failed"


def send_twice_in_one_life(h):
    h["sink"].append(mail("a", 1.7))


def send_again_after_a_clean_stop(h):
    h["lives"][0]["end"] = "stopped"


def send_more_again_than_was_in_flight(h):
    h["sink"].append(mail("a", 2.7))


def change_the_message_id(h):
    h["sink"][2] = {**h["sink"][2], "message_id": "<other@x>"}


def change_the_content(h):
    h["sink"][2] = {**h["sink"][2], "sha256": "other"}


def share_a_message_id(h):
    h["sink"][3] = {**h["sink"][3], "message_id": "<a@x>"}


def leave_the_message_id_out(h):
    h["sink"][3] = {**h["sink"][3], "message_id": ""}


def send_what_nobody_sent(h):
    h["sink"].append(mail("z", 2.9))


def send_to_somebody_else(h):
    h["sink"][0] = {**h["sink"][0], "recipients": ["b@x"]}


def send_before_the_start(h):
    h["sink"][0] = mail("a", 0.5)


@pytest.mark.parametrize(
    "change",
    [lose, forget, pretend, fail_what_was_taken, send_twice_in_one_life,
     send_again_after_a_clean_stop, send_more_again_than_was_in_flight, change_the_message_id,
     change_the_content, share_a_message_id, leave_the_message_id_out, send_what_nobody_sent,
     send_to_somebody_else, send_before_the_start],
    ids=lambda f: f.__name__,
)
def test_the_checker_finds_a_gateway_that_would(change):
    h = copy.deepcopy(history())
    change(h)
    assert problems(h) != []
