"""Alerts that the running daemon delivered are verified by two libraries of Standard Webhooks, with either secret while
secrets are changed, and forgeries refused."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from program import Receiver, daemon, simulator, wait_for

ROOT = Path(__file__).parents[2]
VERIFIERS = {
    "PyPI": [sys.executable, str(ROOT / "tests/peers/verify_webhook.py")],
    "npm": ["node", str(ROOT / "target/peers/npm/verify_webhook.mjs")],
}


def verdict(command, message):
    """0: verified; 1: refused."""
    run = subprocess.run(command, input=json.dumps(message), text=True, capture_output=True, timeout=60)
    assert run.returncode in (0, 1), run.stderr
    return run.returncode


def main():
    receiver = Receiver(rotating=True)
    with tempfile.TemporaryDirectory() as folder, simulator("--clients", "30") as organisation, \
            daemon(folder, organisation, receiver):
        wait_for("the baseline", lambda: receiver.of_type("baseline.recorded"))
        role, holder = organisation.role_held_by_a_client()
        organisation.add_to_role(role, "directory", "user", "delete")
        wait_for("the drift", lambda: receiver.of_type("drift.detected"))

    assert len(receiver.of_type("baseline.recorded")) == 1, "one baseline, however many audits"
    [(headers, body)] = receiver.of_type("drift.detected")
    data = json.loads(body)["data"]
    assert data["cause"]["subject"]["id"] == role["id"]
    assert data["cause"]["permissions"]["added"] == ["directory:user:delete"]
    assert holder["id"] in {client["id"] for client in data["clients"]}, "the holder of the role is named"
    print(f"  received: {data['summary']}")

    headers = {name.lower(): value for name, value in headers.items()}
    assert len(headers["webhook-signature"].split(" ")) == 2, headers
    message = {
        "secret": receiver.secret,
        "id": headers["webhook-id"],
        "timestamp": headers["webhook-timestamp"],
        "signature": headers["webhook-signature"],
        "body": body.decode(),
    }
    forgeries = {
        "another body": {"body": message["body"].replace("delete", "detele", 1)},
        "another id": {"id": message["id"] + "0"},
        "another secret": {"secret": Receiver().secret},
        "an old time": {"timestamp": str(int(message["timestamp"]) - 3600)},
    }
    for library, command in VERIFIERS.items():
        for which, secret in [("new", receiver.secret), ("old", receiver.previous)]:
            true = {**message, "secret": secret}
            assert verdict(command, true) == 0, f"{library} refuses a true message with the {which} secret"
            for name, change in forgeries.items():
                assert verdict(command, {**true, **change}) == 1, f"{library} accepts {name} ({which} secret)"
        print(f"  standardwebhooks of {library}: verified with either secret; {len(forgeries)} forgeries of each refused")


main()
