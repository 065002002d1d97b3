"""A real Postfix, and Dovecot for its SASL, with directories of their own; relays to a sink."""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess

from .certificates import Authority
from .smtp_sink import accepts, free_port
from .waiting import eventually

USER = "postern"
PASSWORD = "correct horse battery staple"

MAIN = """
compatibility_level = 3.6
config_directory = {root}/etc
queue_directory = {root}/queue
data_directory = {root}/data
maillog_file = /dev/stdout
multi_instance_enable = no
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mx.example.net
mydestination =
local_recipient_maps =
alias_maps =
alias_database =
mynetworks =
relayhost = [127.0.0.1]:{sink}
smtp_dns_support_level = disabled
smtp_tls_security_level = none
smtpd_tls_security_level = encrypt
smtpd_tls_auth_only = yes
smtpd_tls_cert_file = {certificate}
smtpd_tls_key_file = {key}
smtpd_tls_loglevel = 1
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = {root}/sasl/auth
smtpd_recipient_restrictions = permit_sasl_authenticated, reject
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtputf8_enable = yes
"""

MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
pickup    unix  n       -       n       60      1       pickup
cleanup   unix  n       -       n       -       0       cleanup
qmgr      unix  n       -       n       300     1       qmgr
tlsmgr    unix  -       -       n       1000?   1       tlsmgr
rewrite   unix  -       -       n       -       -       trivial-rewrite
bounce    unix  -       -       n       -       0       bounce
defer     unix  -       -       n       -       0       bounce
trace     unix  -       -       n       -       0       bounce
verify    unix  -       -       n       -       1       verify
flush     unix  n       -       n       1000?   0       flush
proxymap  unix  -       -       n       -       -       proxymap
proxywrite unix -       -       n       -       1       proxymap
smtp      unix  -       -       n       -       -       smtp
relay     unix  -       -       n       -       -       smtp
showq     unix  n       -       n       -       -       showq
error     unix  -       -       n       -       -       error
retry     unix  -       -       n       -       -       error
discard   unix  -       -       n       -       -       discard
anvil     unix  -       -       n       -       1       anvil
scache    unix  -       -       n       -       1       scache
postlog   unix-dgram n  -       n       -       1       postlogd
"""

DOVECOT = """
base_dir = {root}/sasl/run
state_dir = {root}/sasl/state
log_path = {root}/sasl/log
protocols =
ssl = no
default_internal_user = dovecot
default_login_user = dovenull
auth_mechanisms = plain login cram-md5
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {root}/sasl/passwd
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home=/nonexistent
}}
service auth {{
  unix_listener {root}/sasl/auth {{
    mode = 0666
  }}
}}
service stats {{
  unix_listener stats-writer {{
    mode = 0666
  }}
}}
"""


def alive(pid):
    try:
        os.kill(pid, 0)
        return True
    except ProcessLookupError:
        return False


class Postfix:
    """STARTTLS and AUTH are required of clients; `authority` is whom they must trust."""

    def __init__(self, root, sink_port):
        self.root = pathlib.Path(root)
        self.process = self.dovecot = None
        assert os.geteuid() == 0, "Postfix's master must be started by root"
        for name in ("etc", "queue", "data", "sasl", "sasl/run", "sasl/state"):
            (self.root / name).mkdir(parents=True)
        for directory in (self.root, self.root / "sasl"):
            directory.chmod(0o755)
        shutil.chown(self.root / "data", "postfix")
        self.authority = Authority(self.root / "tls")
        certificate, key = self.authority.issue("mx.example.net")
        self._start_dovecot()

        values = {"root": self.root, "sink": sink_port, "certificate": certificate, "key": key}
        etc = self.root / "etc"
        (etc / "main.cf").write_text(MAIN.format(**values))
        # Another process may take the port between finding it and using it.
        for _ in range(20):
            self.port = free_port()
            (etc / "master.cf").write_text(MASTER.format(port=self.port))
            self.log = open(self.root / "log", "wb")
            self.process = subprocess.Popen(
                ["/usr/sbin/postfix", "-c", str(etc), "start-fg"],
                stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                start_new_session=True,
            )
            eventually(
                lambda: self.process.poll() is not None or accepts(self.port),
                "Postfix serves",
            )
            if self.process.poll() is None:
                return
        self.stop()
        raise AssertionError("Postfix does not start: " + (self.root / "log").read_text())

    def _start_dovecot(self):
        sasl = self.root / "sasl"
        (sasl / "passwd").write_text(f"{USER}:{{PLAIN}}{PASSWORD}\n")
        shutil.chown(sasl / "passwd", "dovecot")
        (sasl / "passwd").chmod(0o600)
        (sasl / "dovecot.conf").write_text(DOVECOT.format(root=self.root))
        self.dovecot = subprocess.Popen(
            ["/usr/sbin/dovecot", "-F", "-c", str(sasl / "dovecot.conf")],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=open(sasl / "stderr", "wb"), start_new_session=True,
        )
        eventually(
            lambda: (sasl / "auth").exists() or self.dovecot.poll() is not None, "Dovecot serves"
        )
        assert self.dovecot.poll() is None, (sasl / "stderr").read_text()

    def read_log(self):
        return (self.root / "log").read_text(errors="replace")

    def _master(self):
        """Postfix's master: a process of its own, which outlives `postfix start-fg`."""
        file = self.root / "queue" / "pid" / "master.pid"
        return int(file.read_text()) if file.exists() and file.read_text().strip() else None

    def stop(self):
        master = self._master()
        if master is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(master, signal.SIGTERM)
        for process in (self.process, self.dovecot):
            if process is not None and process.poll() is None:
                process.terminate()
                process.wait(30)
        if master is not None:
            eventually(lambda: not alive(master), "Postfix ends")
