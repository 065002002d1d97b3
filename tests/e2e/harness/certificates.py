"""Certificates for the servers of the tests, made by openssl when they are needed."""

import pathlib
import ssl
import subprocess


def _openssl(directory, *arguments, input=None):
    done = subprocess.run(
        ["openssl", *arguments], cwd=directory, capture_output=True, text=True, input=input
    )
    assert done.returncode == 0, done.stderr


class Authority:
    """A certificate authority in a directory."""

    def __init__(self, directory, name="Test CA"):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.certificate = self.directory / "ca.pem"
        _openssl(
            self.directory, "req", "-x509", "-newkey", "ec", "-pkeyopt",
            "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "ca.key", "-out", "ca.pem",
            "-days", "2", "-subj", f"/CN={name}",
        )

    def issue(self, name, alternatives="IP:127.0.0.1,DNS:localhost", days=2):
        """Makes NAME.pem and NAME.key; their paths."""
        _openssl(
            self.directory, "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
            "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}",
        )
        extensions = self.directory / f"{name}.ext"
        extensions.write_text(f"subjectAltName={alternatives}\n")
        _openssl(
            self.directory, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey",
            "ca.key", "-CAcreateserial", "-days", str(days), "-extfile", extensions.name,
            "-out", f"{name}.pem",
        )
        return self.directory / f"{name}.pem", self.directory / f"{name}.key"

    def server_context(self, name, **more):
        certificate, key = self.issue(name, **more)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        return context
