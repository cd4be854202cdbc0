"""Starts what the peers talk to: a simulator, a daemon that audits it, and a receiver of its alerts.

The program is $SCOPEWARDEN. Everything listens on loopback, lives in one temporary folder, and is gone at the end.
"""

import base64
import http.server
import json
import os
import secrets
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from contextlib import contextmanager
from pathlib import Path

PROGRAM = os.environ["SCOPEWARDEN"]
# Never through a proxy of this machine: every address is loopback.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def wait_for(what, condition, seconds=60):
    """Polls `condition` until it returns something true, which is returned."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.2)
    raise TimeoutError(f"{what}: not within {seconds} s")


def get(url):
    """The body of a page as text; None if nobody answers or the answer is not 200."""
    try:
        with OPENER.open(url, timeout=5) as answer:
            return answer.read().decode()
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return None


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Simulator:
    """A running organisation, changed through the platform's own endpoints."""

    def __init__(self, announcement):
        self.announcement = announcement
        self.url = announcement["url"]
        self._token = None

    def call(self, method, path, body=None):
        """One call as the administrator."""
        if self._token is None:
            self._token = self._log_in()
        return self._send(method, path, json.dumps(body).encode() if body is not None else None,
                          {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"})

    def _log_in(self):
        who = f"{self.announcement['admin_client_id']}:{self.announcement['admin_client_secret']}"
        form = urllib.parse.urlencode({"grant_type": "client_credentials"}).encode()
        headers = {"Authorization": "Basic " + base64.b64encode(who.encode()).decode()}
        return self._send("POST", "/oauth/token", form, headers)["access_token"]

    def _send(self, method, path, body, headers):
        request = urllib.request.Request(self.url + path, data=body, headers=headers, method=method)
        with OPENER.open(request, timeout=10) as answer:
            return json.loads(answer.read() or b"null")

    def spoil(self, faults):
        """Which calls go wrong from now on, and how; an empty list ends it."""
        self.call("PUT", "/_simulator/faults", faults)

    def role_held_by_a_client(self):
        """A role that some client other than the announced ones holds."""
        own = {self.announcement["client_id"], self.announcement["admin_client_id"]}
        for client in self.call("GET", "/api/v2/oauth/clients?pageSize=100")["entities"]:
            for grant in client.get("roleDivisions", []):
                role = self.call("GET", f"/api/v2/authorization/roles/{grant['roleId']}")
                if client["id"] not in own and not role.get("default", False):
                    return role, client
        raise LookupError("no client holds a role of its own")

    def add_to_role(self, role, domain, entity, action):
        """Gives a role one more permission."""
        policies = [
            {key: policy[key] for key in ("domain", "entityName", "actionSet", "resourceConditionNode") if key in policy}
            for policy in role.get("permissionPolicies", [])
        ]
        policies.append({"domain": domain, "entityName": entity, "actionSet": [action]})
        body = {"name": role["name"], "permissions": role.get("permissions", []), "permissionPolicies": policies}
        return self.call("PUT", f"/api/v2/authorization/roles/{role['id']}", body)


@contextmanager
def simulator(*options):
    """Runs `simulate` until the block ends."""
    process = subprocess.Popen([PROGRAM, "simulate", "--listen", "127.0.0.1:0", *options], stdout=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"simulate ended with {process.wait(10)} before it listened")
        yield Simulator(json.loads(line))
    finally:
        process.kill()
        process.wait(10)


class Receiver:
    """Takes webhooks with 200 and keeps them as they came; while it is `broken`, answers 503 and keeps nothing."""

    def __init__(self, rotating=False):
        received = self.received = []
        self.broken = False
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if not receiver.broken:
                    received.append((dict(self.headers.items()), body))
                self.send_response(503 if receiver.broken else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/alerts"
        self.secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
        # While secrets are changed there is the one before as well.
        self.previous = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode() if rotating else None
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def of_type(self, name):
        """The messages of one type: headers and body."""
        return [(headers, body) for headers, body in list(self.received) if json.loads(body)["type"] == name]


@contextmanager
def daemon(folder, organisation, receiver, wrapper=(), more=""):
    """Runs `run` on `organisation`, an audit every five seconds; gives its address once it is ready.

    `wrapper`: a command that starts the program in its place. `more`: further sections of the configuration."""
    folder = Path(folder)
    url = f"http://127.0.0.1:{free_port()}"
    secrets_ = {"client_secret": organisation.announcement["client_secret"], "signing_secret": receiver.secret}
    if receiver.previous:
        secrets_["previous_secret"] = receiver.previous
        previous = 'previous_secret_file = "previous_secret"'
    else:
        previous = ""
    for name, secret in secrets_.items():
        (folder / name).write_text(secret)
        (folder / name).chmod(0o400)
    config = folder / "scopewarden.toml"
    config.write_text(f"""
[storage]
url = "sqlite:scopewarden.db"
[server]
listen = "{url.removeprefix('http://')}"
[audit]
schedule = "*/5 * * * * *"
[[org]]
name = "acme"
login_url = "{organisation.url}"
api_url = "{organisation.url}"
client_id = "{organisation.announcement['client_id']}"
client_secret_file = "client_secret"
[[receiver]]
name = "secops"
kind = "webhook"
url = "{receiver.url}"
secret_file = "signing_secret"
{previous}
{more}""")
    log = open(folder / "log", "w")
    process = subprocess.Popen([*wrapper, PROGRAM, "run", "--config", str(config)], stdout=log, stderr=log)
    try:
        wait_for("readiness", lambda: process.poll() is not None or get(f"{url}/readyz") is not None)
        if process.poll() is not None:
            raise RuntimeError(f"run ended with {process.returncode}")
        yield url
        process.send_signal(signal.SIGTERM)
        if process.wait(30) != 0:
            raise RuntimeError(f"run ended with {process.returncode} after SIGTERM")
    except BaseException:
        log.flush()
        print((folder / "log").read_text()[-8000:])
        raise
    finally:
        process.kill()
        process.wait(10)
