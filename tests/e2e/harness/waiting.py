"""Waiting for a condition, never for a time."""

import time

# Long enough for a sanitizer build on a busy machine; nobody waits it out unless a test fails.
PATIENCE = 60.0


def eventually(check, what, timeout=PATIENCE):
    """Answers the first true value of check(); fails, saying what did not happen, at the timeout.

    An AssertionError of check() counts as not yet, and is shown when time is over.
    """
    deadline = time.monotonic() + timeout
    problem = None
    while True:
        try:
            value = check()
            if value:
                return value
            problem = None
        except AssertionError as error:
            problem = error
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout:g} s: {what}") from problem
        time.sleep(0.02)
