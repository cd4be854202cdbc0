"""Chromium renders the daemon's first page: readable, without an error, and with nothing blocked by its own policy."""

import re
import subprocess
import tempfile

from program import Receiver, daemon, get, simulator, wait_for

BROWSER = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
           "--disable-background-networking", "--disable-component-update", "--disable-sync",
           "--disable-dev-shm-usage", "--enable-logging=stderr", "--timeout=10000"]


def browse(folder, *arguments):
    command = [*BROWSER, f"--user-data-dir={folder}/chromium", *arguments]
    run = subprocess.run(command, text=True, capture_output=True, timeout=120)
    assert run.returncode == 0, run.stderr[-2000:]
    blocked = [line for line in run.stderr.splitlines() if "CONSOLE" in line]
    assert not blocked, blocked
    return run.stdout


def main():
    with tempfile.TemporaryDirectory() as folder, simulator("--clients", "30") as organisation, \
            daemon(folder, organisation, Receiver()) as url:
        wait_for("a first audit", lambda: 'scopewarden_up{org="acme"} 1' in (get(f"{url}/metrics") or ""))
        page = browse(folder, "--dump-dom", f"{url}/")
        text = " ".join(re.sub(r"<style.*?</style>|<[^>]+>", " ", page, flags=re.DOTALL).split())
        for expected in ["scopewarden", "acme", "finding", "metrics"]:
            assert expected in text.lower(), f"the page does not say {expected!r}: {text}"
        print(f"  Chromium: {text[:150]}…")

        picture = f"{folder}/page.png"
        browse(folder, "--window-size=1280,900", f"--screenshot={picture}", f"{url}/")
        with open(picture, "rb") as file:
            image = file.read()
        assert image.startswith(b"\x89PNG") and len(image) > 5000, f"the screenshot has {len(image)} bytes"
        print(f"  Chromium: a screenshot of {len(image)} bytes")


main()
