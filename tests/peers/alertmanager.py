"""Two real Alertmanagers are told what stands: an alert fires, stays over several rounds, and resolves when the cause is
gone; one that was down is caught up. All of it as their own API shows it.

The daemon tells every minute and after each audit, so the rounds here are those of the audits, five seconds apart.
"""

import json
import subprocess
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from program import PROGRAM, Receiver, daemon, free_port, get, simulator, wait_for

CONFIG = """
route:
  receiver: nobody
receivers:
  - name: nobody
"""
PERMISSION = ("directory", "user", "delete")


class Alertmanager:
    """One instance, which can be stopped and started again; it forgets nothing but what it was told while it was down."""

    def __init__(self, folder, name):
        self.address = f"127.0.0.1:{free_port()}"
        self.url = f"http://{self.address}"
        self.folder = Path(folder) / name
        self.folder.mkdir()
        (self.folder / "config.yml").write_text(CONFIG)
        self.process = None

    def start(self):
        self.process = subprocess.Popen(
            ["prometheus-alertmanager", f"--config.file={self.folder}/config.yml", f"--storage.path={self.folder}/data",
             f"--web.listen-address={self.address}", "--cluster.listen-address=", "--log.level=error"])
        wait_for("Alertmanager", lambda: get(f"{self.url}/-/ready") is not None)

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait(30)
            self.process = None

    def alerts(self, **labels):
        """What its API lists as active, by labels."""
        listed = json.loads(get(f"{self.url}/api/v2/alerts") or "[]")
        return [one for one in listed if labels.items() <= one["labels"].items()]


def finding(alertmanager, client):
    """The alerts of this client's privileged permission."""
    return alertmanager.alerts(alertname="ScopewardenFinding", client_id=client["id"], check="high-privilege-permission")


def about(alerts):
    return [one for one in alerts if ":".join(PERMISSION) in one["annotations"]["summary"] + one["annotations"]["description"]]


def main():
    receiver = Receiver()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        one, other = (Alertmanager(folder, name) for name in ("one", "other"))
        for instance in (one, other):
            stack.callback(instance.stop)
        one.start()
        organisation = stack.enter_context(simulator("--clients", "20"))
        section = f'[[receiver]]\nname = "am"\nkind = "alertmanager"\nurls = ["{one.url}", "{other.url}"]\n'
        url = stack.enter_context(daemon(folder, organisation, receiver, more=section))
        wait_for("the baseline", lambda: receiver.of_type("baseline.recorded"))
        wait_for("what stands at the beginning", lambda: one.alerts(alertname="ScopewardenFinding"))

        role, holder = organisation.role_held_by_a_client()
        before = organisation.call("GET", f"/api/v2/authorization/roles/{role['id']}")
        organisation.add_to_role(role, *PERMISSION)
        [alert, *_] = wait_for("the alert", lambda: about(finding(one, holder)))
        assert alert["labels"]["org"] == "acme" and alert["generatorURL"], alert
        assert set(alert["labels"]) == {"alertname", "org", "check", "client_id", "uid", "severity"}, alert["labels"]
        drift = wait_for("the change", lambda: one.alerts(alertname="ScopewardenDrift", cause="role_permissions_changed"))
        print(f"  fires: {alert['annotations']['summary']}; {drift[0]['annotations']['summary']}")

        # It stays: the same alert, its end moved on by later rounds.
        def later():
            found = one.alerts(uid=alert["labels"]["uid"])
            return found and found[0]["endsAt"] > alert["endsAt"] and found[0]
        first = alert["endsAt"]
        for _ in range(3):
            alert = wait_for("another round", later)
        assert alert["endsAt"] > first
        print(f"  stays: its end moved from {first} to {alert['endsAt']} in three rounds")

        # The other one was down all the time.
        assert 'scopewarden_delivery_failures_total{reason="network",receiver="am"}' in get(f"{url}/metrics")
        assert 'scopewarden_receiver_circuit_open{receiver="am"} 1' in get(f"{url}/metrics")
        other.start()
        began = time.monotonic()
        wait_for("the peer that was down", lambda: other.alerts(uid=alert["labels"]["uid"]))
        wait_for("the circuit", lambda: 'scopewarden_receiver_circuit_open{receiver="am"} 0' in get(f"{url}/metrics"))
        assert len(other.alerts()) == len(one.alerts()), "the peers know different things"
        print(f"  a peer that was down knows all {len(other.alerts())} alerts {time.monotonic() - began:.1f} s after it is back")

        # The permission is taken away again: both are told so, long before the alert would have ended by itself.
        body = {"name": before["name"], "permissions": before.get("permissions", []),
                "permissionPolicies": [{key: policy[key] for key in ("domain", "entityName", "actionSet", "resourceConditionNode")
                                        if key in policy} for policy in before.get("permissionPolicies", [])]}
        organisation.call("PUT", f"/api/v2/authorization/roles/{role['id']}", body)
        began = time.monotonic()
        for instance in (one, other):
            wait_for("the end", lambda: not instance.alerts(uid=alert["labels"]["uid"]))
        print(f"  resolves: gone from both {time.monotonic() - began:.1f} s after the change")

        # A test alert, by the command.
        run = subprocess.run([PROGRAM, "doctor", "--send-test", "--config", f"{folder}/scopewarden.toml"],
                             text=True, capture_output=True, timeout=60)
        for instance in (one, other):
            assert instance.alerts(alertname="ScopewardenTest"), run.stdout + run.stderr
        print("  doctor --send-test: seen by both")


main()
