import itertools
import pathlib
import shutil
import sys
import tempfile

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from harness.certificates import Authority
from harness.gateway import Gateway, smtp_account
from harness.postfix import Postfix
from harness.scripted_smtp import ScriptedSmtp
from harness.smtp_sink import SmtpSink



@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    outcome = yield
    setattr(item, "report_" + outcome.get_result().when, outcome.get_result())


@pytest.fixture
def directory(request):
    """A directory that daemons of other users can enter, unlike pytest's; kept when a test fails."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="postern-e2e-"))
    path.chmod(0o755)
    yield path
    report = getattr(request.node, "report_call", None)
    if report is not None and report.failed:
        print(f"kept: {path}")
    else:
        shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def make_gateway(directory):
    """make_gateway(providers=…, changes=…, start=True): gateways that end with the test."""
    made = []
    numbers = itertools.count(1)

    def make(providers=(), changes=None, organizations=None, start=True):
        where = directory / f"gateway{next(numbers)}"
        where.mkdir()
        gateway = Gateway(where, providers, changes, organizations)
        made.append(gateway)
        return gateway.start() if start else gateway

    yield make
    problems = []
    for gateway in made:
        try:
            gateway.finish()
        except Exception as error:  # every gateway is ended before any is complained of
            problems.append(error)
        finally:
            if gateway.process is not None:
                gateway.kill()
    if problems:
        raise problems[0]


@pytest.fixture
def make_sink(directory):
    made = []

    def make(*options):
        made.append(SmtpSink(directory / f"sink{len(made)}", *options))
        return made[-1]

    yield make
    for sink in made:
        sink.stop()


@pytest.fixture
def smtp_sink(make_sink):
    return make_sink()


@pytest.fixture
def make_peer():
    made = []

    def make(**more):
        made.append(ScriptedSmtp(**more))
        return made[-1]

    yield make
    for peer in made:
        peer.stop()


@pytest.fixture
def peer(make_peer):
    """A scripted SMTP server."""
    return make_peer()


@pytest.fixture
def authority(directory):
    return Authority(directory / "tls")


@pytest.fixture
def postfix(directory, smtp_sink):
    server = Postfix(directory / "postfix", smtp_sink.port)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def served():
    """A gateway that a whole file shares, whose one provider account is a scripted peer
    (served.peer). For tests that leave it as they found it."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="postern-e2e-"))
    peer = ScriptedSmtp()
    gateway = Gateway(path, [smtp_account(peer.port)])
    gateway.peer = peer
    gateway.start()
    try:
        yield gateway
        gateway.finish()
        peer.stop()
    finally:
        if gateway.process is not None:
            gateway.kill()
        shutil.rmtree(path, ignore_errors=True)
