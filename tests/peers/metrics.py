"""promtool lints the metrics of a running daemon, and a real Prometheus scrapes them and sees drift."""

import re
import subprocess
import tempfile
from pathlib import Path

from program import Receiver, daemon, get, simulator, wait_for
from prometheus import prometheus

# Absent while no message waits, and without [backup], as docs/metrics.md says.
SOMETIMES_ABSENT = {
    "scopewarden_outbox_oldest_pending_timestamp_seconds",
    "scopewarden_db_backup_last_success_timestamp_seconds",
    "scopewarden_db_backup_interval_seconds",
    "scopewarden_grants_oldest_confirmation_timestamp_seconds",
    "scopewarden_probe_last_run_timestamp_seconds",
}
DRIFT = 'scopewarden_drift_events_total{org="acme",cause="role_permissions_changed"}'


def documented():
    """Names of series by docs/metrics.md, histograms by their count."""
    page = (Path(__file__).parents[2] / "docs/metrics.md").read_text()
    rows = re.findall(r"^\| `(scopewarden_\w+)` \| (\w+)", page, re.MULTILINE)
    return {name + ("_count" if kind == "histogram" else "") for name, kind in rows}


def main():
    with tempfile.TemporaryDirectory() as folder, simulator("--clients", "30") as organisation, \
            daemon(folder, organisation, Receiver()) as url:
        page = wait_for("a first audit", lambda: (text := get(f"{url}/metrics")) and 'scopewarden_up{org="acme"} 1' in text and text)
        lint = subprocess.run(["promtool", "check", "metrics"], input=page, text=True, capture_output=True, timeout=60)
        assert lint.returncode == 0 and not lint.stderr, lint.stdout + lint.stderr
        print("  promtool: clean")

        config = f"""
global: {{scrape_interval: 1s}}
scrape_configs:
  - job_name: scopewarden
    static_configs: [{{targets: ["{url.removeprefix('http://')}"]}}]
"""
        with prometheus(folder, config) as server:
            targets = lambda: (server.ask("/api/v1/targets") or {}).get("activeTargets") or [{}]
            wait_for("the target", lambda: targets()[0].get("health") == "up")
            print("  Prometheus: target is up")

            names = set(server.ask("/api/v1/label/__name__/values"))
            missing = documented() - SOMETIMES_ABSENT - names
            assert len(documented()) > 20 and not missing, f"series not scraped: {sorted(missing)}"
            print(f"  Prometheus: all {len(documented() - SOMETIMES_ABSENT)} series are there")

            assert server.value(DRIFT) == 0, "drift is counted before there was any"
            role, _ = organisation.role_held_by_a_client()
            organisation.add_to_role(role, "directory", "user", "delete")
            wait_for("the drift", lambda: server.value(f"increase({DRIFT}[1m])"))
            assert server.value(DRIFT) == 1, "one edit is one event"
            print("  Prometheus: the edit of a role raised the drift counter from 0 to 1")


main()
