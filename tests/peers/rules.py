"""A real Prometheus with the shipped configuration and rules, and a real Alertmanager with the shipped sample: real
faults of a running daemon fire the rules that are meant for them, and reach the people who are on call.

Only addresses and waiting times differ from what is shipped; CHANGES lists each one.
"""

import http.server
import json
import re
import subprocess
import tempfile
import threading
from contextlib import ExitStack, contextmanager
from pathlib import Path

from program import Receiver, daemon, free_port, get, simulator, wait_for
from prometheus import prometheus

DEPLOY = Path(__file__).parents[2] / "deploy"
# What always fires here: the simulated organisation has an administrator, which is a critical finding.
USUAL = {"ScopewardenCriticalFindingOpen"}
# Waiting times: pattern, replacement. An audit runs every 5 s, so that 2.5 intervals are 12.5 s by themselves.
CHANGES = {
    "prometheus.yml": [(r"(scrape|evaluation)_interval: 30s", r"\1_interval: 1s"), (r"scrape_timeout: 5s", "scrape_timeout: 1s")],
    "rules.yml": [(r"for: \d+[mh]", "for: 2s"), (r"oldest_pending_timestamp_seconds > 900", "oldest_pending_timestamp_seconds > 5")],
    "alertmanager.yml": [(r"group_wait: 30s", "group_wait: 1s"), (r"group_interval: 5m", "group_interval: 1s")],
}


def shipped(path, *addresses):
    """A file of deploy/ with its waiting times shortened and these addresses exchanged."""
    text = (DEPLOY / path).read_text()
    for pattern, replacement in CHANGES[Path(path).name] + [(re.escape(old), new) for old, new in addresses]:
        text, count = re.subn(pattern, replacement, text)
        assert count, f"{path} has no {pattern}"
    return text


class OnCall:
    """Takes the notifications of Alertmanager."""

    def __init__(self):
        told = self.told = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                told.extend((self.path, alert["labels"]["alertname"]) for alert in body["alerts"])
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()


@contextmanager
def alertmanager(folder, on_call):
    """Runs Alertmanager with the shipped sample; gives its address."""
    address = f"127.0.0.1:{free_port()}"
    config = Path(folder) / "alertmanager.yml"
    config.write_text(shipped("alertmanager/alertmanager.yml", ("127.0.0.1:9099", on_call.address)))
    process = subprocess.Popen(
        ["prometheus-alertmanager", f"--config.file={config}", f"--storage.path={folder}/alertmanager",
         f"--web.listen-address={address}", "--cluster.listen-address=", "--log.level=error"])
    try:
        wait_for("Alertmanager", lambda: get(f"http://{address}/-/ready") is not None)
        yield address
    finally:
        process.terminate()
        process.wait(30)


def dashboard_queries():
    """Every query of the dashboard, its variables filled in."""
    dashboard = json.loads((DEPLOY / "grafana/scopewarden.json").read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    queries += [annotation["expr"] for annotation in dashboard["annotations"]["list"]]
    variables = [("$__rate_interval", "1m"), ("$__interval", "1m"), ("$job", "scopewarden"), ("$org", "acme")]
    for variable, value in variables:
        queries = [query.replace(variable, value) for query in queries]
    assert len(queries) > 30 and not any("$" in query for query in queries), queries
    return queries


def main():
    receiver, on_call = Receiver(), OnCall()
    # Prometheus outlives the daemon: it has to see that it is gone.
    with tempfile.TemporaryDirectory() as folder, simulator("--clients", "30") as organisation, \
            alertmanager(folder, on_call) as alerts, ExitStack() as until_the_end:
        (Path(folder) / "rules.yml").write_text(shipped("prometheus/rules.yml"))
        with daemon(folder, organisation, receiver) as url:
            config = shipped("prometheus/prometheus.yml", ("127.0.0.1:9840", url.removeprefix("http://")), ("127.0.0.1:9093", alerts))
            server = until_the_end.enter_context(prometheus(folder, config))
            observe(server, organisation, receiver, on_call)
        wait_for("ScopewardenDown", lambda: server.firing() == {"ScopewardenDown"})
        wait_for("the notification", lambda: ("/on-call", "ScopewardenDown") in on_call.told)
        print("  the daemon is gone: ScopewardenDown, and on-call was told")


def observe(server, organisation, receiver, on_call):
    fires = lambda expected: wait_for(f"{sorted(expected)}, not {sorted(server.firing())}", lambda: server.firing() == expected)
    fires(USUAL)
    print("  healthy: nothing fires but the administrator's critical finding")

    with_data = 0
    for query in dashboard_queries():
        result = server.query(query)
        assert result is not None, f"Prometheus refuses a query of the dashboard: {query}"
        with_data += bool(result)
    assert with_data > 20, f"only {with_data} queries of the dashboard give something"
    print(f"  dashboard: {len(dashboard_queries())} queries, none refused, {with_data} with data")

    receiver.broken = True
    organisation.spoil([{"match": "GET /api/v2/oauth/clients", "kind": "forbidden", "count": -1}])
    expected = {"ScopewardenAuditsFailing", "ScopewardenCredentialsRejected", "ScopewardenAuditStale", "ScopewardenAlertsStuck"}
    wait_for(f"{sorted(expected)}", lambda: server.firing() >= expected)
    print(f"  a lost permission and a dead receiver: {', '.join(sorted(expected))}")
    wait_for("the notification", lambda: {("/on-call", "ScopewardenCredentialsRejected"), ("/on-call", "ScopewardenAlertsStuck")} <= set(on_call.told))
    # Those that say nothing new are held back.
    assert ("/on-call", "ScopewardenAuditStale") not in on_call.told and ("/team", "ScopewardenAuditsFailing") not in on_call.told, on_call.told
    print("  Alertmanager: on-call was told; what the refused credentials explain was not sent")

    organisation.spoil([])
    receiver.broken = False
    audits = expected - {"ScopewardenAlertsStuck"}
    wait_for("the end of it", lambda: not server.firing() & audits)
    print("  mended: the alerts about audits end by themselves")


main()
