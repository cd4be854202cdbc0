"""A Prometheus with a configuration of ours, asked through its own API."""

import json
import subprocess
import urllib.parse
from contextlib import contextmanager
from pathlib import Path

from program import free_port, get, wait_for


class Prometheus:
    def __init__(self, url):
        self.url = url

    def ask(self, path, **parameters):
        """The data of an answer; None if there is none or it is an error."""
        answer = get(self.url + path + "?" + urllib.parse.urlencode(parameters, doseq=True))
        return json.loads(answer)["data"] if answer else None

    def query(self, query):
        """The series that `query` gives; None if Prometheus refuses it."""
        data = self.ask("/api/v1/query", query=query)
        return data["result"] if data is not None else None

    def value(self, query):
        """The value of the only series that `query` gives; None if there is none."""
        result = self.query(query)
        return float(result[0]["value"][1]) if result else None

    def firing(self):
        """Names of the alerts that fire now."""
        alerts = (self.ask("/api/v1/alerts") or {}).get("alerts", [])
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}


@contextmanager
def prometheus(folder, config):
    """Runs Prometheus with the text `config`, whose rule files lie in `folder`, until the block ends."""
    port = free_port()
    file = Path(folder) / "prometheus.yml"
    file.write_text(config)
    process = subprocess.Popen(
        ["prometheus", f"--config.file={file}", f"--storage.tsdb.path={folder}/tsdb",
         f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"])
    try:
        running = Prometheus(f"http://127.0.0.1:{port}")
        wait_for("Prometheus", lambda: process.poll() is not None or running.ask("/api/v1/status/runtimeinfo"))
        if process.poll() is not None:
            raise RuntimeError(f"Prometheus ended with {process.returncode}")
        yield running
    finally:
        process.terminate()
        process.wait(30)
