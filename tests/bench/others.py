"""The tools that `files` stands beside: each served on loopback for one run alone, with keys of its own, and ended
with it. A tool that is not there, or does not start, says so with `Skipped`; nothing here installs anything. How tools
and free ports are found serves `messages` as well.
"""

import getpass
import os
import re
import shutil
import socket
import subprocess
import time
import urllib.parse
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# A tool is up within this, or not at all.
UP_SECONDS = 20
# It reads and hashes everything before it is up.
IMPORTED_SECONDS = 600


class Skipped(Exception):
    """Why a row is not measured."""


def found(tool):
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    beside = [*versions, Path("/usr/sbin"), Path("/sbin"), ROOT / "target/others/bin"]
    return shutil.which(tool) or shutil.which(tool, path=os.pathsep.join(map(str, beside)))


def need(*tools):
    missing = [tool for tool in tools if not found(tool)]
    if missing:
        raise Skipped(f"{', '.join(missing)} not found")


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def sync(folder):
    """Puts every file and every folder below on the disk, for tools that leave that to the system."""
    for here, _, names in os.walk(folder, topdown=False):
        for path in [*(Path(here) / name for name in names), Path(here)]:
            handle = os.open(path, os.O_RDONLY)
            os.fsync(handle)
            os.close(handle)


class Server:
    """A process that ends with the run."""

    def __init__(self, place):
        self.place, self.server = place, None
        place.mkdir(mode=0o700)

    def start(self, command, **more):
        self.log = self.place / "log"
        with open(self.log, "wb") as log:
            self.server = subprocess.Popen([str(part) for part in command], stderr=log, **more)

    def until(self, answers, seconds=UP_SECONDS):
        end = time.monotonic() + seconds
        while not answers():
            if self.server.poll() is not None or time.monotonic() > end:
                self.stop()
                raise Skipped(f"it does not answer: {self.log.read_text().strip()[-300:]}")
            time.sleep(0.05)

    def stop(self):
        if self.server:
            self.server.terminate()
            self.server.wait()


class Ssh(Server):
    def __init__(self, place):
        need("ssh", "sshd", "ssh-keygen")
        super().__init__(place)
        for key in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", place / key], check=True)
        shutil.copy(place / "user.pub", place / "allowed")
        self.port = free_port()
        if os.geteuid() == 0:
            os.makedirs("/run/sshd", exist_ok=True)  # where it separates its privileges
        command = [found("sshd"), "-D", "-e", "-f", "/dev/null", "-p", self.port, "-h", place / "host"]
        for option in ("ListenAddress=127.0.0.1", "StrictModes=no", "PidFile=none", "UsePAM=no",
                       f"AuthorizedKeysFile={place / 'allowed'}", "Subsystem=sftp internal-sftp"):
            command += ["-o", option]
        self.start(command)
        self.until(lambda: not subprocess.run([*self.shell(), "127.0.0.1", "true"], capture_output=True).returncode)

    def options(self):
        return ["-i", str(self.place / "user"), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
                "-o", "LogLevel=ERROR", "-o", "BatchMode=yes", "-o", f"User={getpass.getuser()}"]

    def shell(self):
        return ["ssh", "-p", str(self.port), *self.options()]

    def rsync(self, source, to, *more):
        shell = " ".join(self.shell())
        subprocess.run(["rsync", "-r", "--whole-file", *more, "-e", shell, f"{source}/", f"127.0.0.1:{to}"], check=True)

    def scp(self, source, to):
        subprocess.run(["scp", "-q", "-r", "-P", str(self.port), *self.options(), source, f"127.0.0.1:{to}"], check=True)


NGINX = """daemon off;
{user}
worker_processes 2;
pid {place}/pid;
error_log {place}/log;
events {{ worker_connections 256; }}
http {{
    access_log off;
    sendfile on;
    autoindex on;
    keepalive_requests 1000000;
    client_body_temp_path {place}/t1; proxy_temp_path {place}/t2; fastcgi_temp_path {place}/t3;
    uwsgi_temp_path {place}/t4; scgi_temp_path {place}/t5;
    server {{
        listen 127.0.0.1:{port} ssl;
        root "{source}";
        ssl_protocols TLSv1.3;
        ssl_certificate {place}/server.pem; ssl_certificate_key {place}/server.key;
        ssl_client_certificate {place}/authority.pem; ssl_verify_client on;
    }}
}}
"""


class Nginx(Server):
    """The folder over TLS 1.3, to those alone who show a certificate of this run's authority."""

    def __init__(self, place, source):
        need("nginx", "curl", "openssl")
        super().__init__(place)
        self.certificates()
        self.port, self.source = free_port(), source
        user = "user root;" if os.geteuid() == 0 else ""
        (place / "conf").write_text(NGINX.format(user=user, place=place, port=self.port, source=source))
        self.start([found("nginx"), "-p", place, "-c", place / "conf", "-e", place / "log"])
        self.until(lambda: not subprocess.run([*self.curl(), "-o", "/dev/null", self.at("")],
                                              capture_output=True).returncode)
        stranger = ["curl", "-s", "-f", "-o", "/dev/null", "--cacert", place / "authority.pem", self.at("")]
        if not subprocess.run(stranger).returncode:
            raise Skipped("it lets somebody in who has no certificate")

    def certificates(self):
        def openssl(*arguments):
            subprocess.run(["openssl", *arguments], cwd=self.place, check=True, capture_output=True)

        new = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
        openssl(*new, "-subj", "/CN=authority", "-keyout", "authority.key", "-out", "authority.pem")
        for name, usage in (("server", "serverAuth"), ("client", "clientAuth")):
            openssl(*new, "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1", "-addext",
                    f"extendedKeyUsage={usage}", "-addext", "basicConstraints=critical,CA:FALSE", "-CA",
                    "authority.pem", "-CAkey", "authority.key", "-keyout", f"{name}.key", "-out", f"{name}.pem")

    def at(self, path):
        return f"https://127.0.0.1:{self.port}/{urllib.parse.quote(path)}"

    def curl(self):
        place = self.place
        return ["curl", "-s", "-S", "--tlsv1.3", "--cacert", place / "authority.pem", "--cert", place / "client.pem",
                "--key", place / "client.key"]

    def fetch(self, to):
        """One curl for all files, over connections that stay; then everything to the disk."""
        lines = []
        for path in sorted(path for path in self.source.rglob("*") if path.is_file()):
            below = str(path.relative_to(self.source))
            lines.append(f'url = "{self.at(below)}"\noutput = "{to / below}"\n')
        (self.place / "list").write_text("".join(lines))
        subprocess.run([*self.curl(), "-f", "--no-progress-meter", "--create-dirs", "--parallel", "--parallel-max", "8", "-K",
                        self.place / "list"], check=True, stdout=subprocess.DEVNULL)
        sync(to)


class Sendme(Server):
    """The folder under a ticket that names addresses of this machine only; neither side asks a relay."""

    ALONE = ("--relay", "disabled", "--no-progress")

    def __init__(self, place, source):
        need("sendme")
        super().__init__(place)
        self.source, told = source, place / "told"
        with open(told, "wb") as out:
            self.start([found("sendme"), "send", source, "--ticket-type", "addresses", *self.ALONE], cwd=place,
                       stdin=subprocess.DEVNULL, stdout=out)
        ticket = lambda: re.search(r"sendme receive (\w+)", told.read_text())
        self.until(ticket, IMPORTED_SECONDS)
        self.ticket = ticket()[1]

    def receive(self, to):
        """Into a folder of this name, and then to the disk."""
        to.mkdir()
        subprocess.run([found("sendme"), "receive", self.ticket, *self.ALONE], cwd=to, check=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        sync(to)
