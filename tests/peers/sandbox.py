"""What the daemon asks of the kernel, watched by strace, is what the sandbox of the unit lets it have.

There is no systemd to start the unit here; so each of its promises that can break a program is compared with what the
program does: system calls, sockets, writable memory that is executed, files that are written.
"""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import program
from program import Receiver, daemon, get, simulator, wait_for

UNIT = (Path(__file__).parents[2] / "deploy/systemd/scopewarden.service").read_text()
NOBODY = "65534"
# The receiver that is a file.
FILE = '[[receiver]]\nname = "siem"\nkind = "ocsf-file"\npath = "ocsf.jsonl"\n'


def values(key):
    """The words of every line `key=…` of the unit."""
    return [word for line in re.findall(rf"^{key}=(.*)$", UNIT, re.MULTILINE) for word in line.split()]


def system_calls(group, groups):
    """The calls of a group, and of the groups in it."""
    return set().union(*(system_calls(word, groups) if word.startswith("@") else {word} for word in groups[group]))


def allowed():
    """The system calls that SystemCallFilter leaves, by systemd's own list."""
    listing = subprocess.run(["systemd-analyze", "syscall-filter"], text=True, capture_output=True, check=True).stdout
    groups, group = {}, []
    for line in listing.splitlines():
        if line.startswith("@"):
            group = groups.setdefault(line.strip(), [])
        elif line.startswith("    ") and not line.strip().startswith("#"):
            group.append(line.strip())
        elif line.startswith("#"):
            # What follows belongs to no group.
            group = []
    permitted = system_calls("@default", groups)
    for line in re.findall(r"^SystemCallFilter=(.*)$", UNIT, re.MULTILINE):
        for word in line.removeprefix("~").split():
            calls = system_calls(word, groups)
            permitted = permitted - calls if line.startswith("~") else permitted | calls
    assert {"read", "openat"} <= permitted and not {"mount", "ptrace", "reboot"} & permitted, "the list is misread"
    return permitted


def main():
    receiver = Receiver()
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace"
        # A copy: the folder of the build may be closed to nobody.
        program.PROGRAM = shutil.copy(program.PROGRAM, folder)
        # Not as root: as root SQLite gives its files to the owner of the database. -D: signals reach the daemon.
        watched = ["sh", "-c", 'chown -R "$0" "$1" && shift && exec setpriv --reuid="$0" --regid="$0" --clear-groups "$@"',
                   NOBODY, folder, "strace", "-D", "-f", "-qq", "-o", str(trace)]
        with simulator("--clients", "20") as organisation, daemon(folder, organisation, receiver, watched, FILE) as url:
            wait_for("the baseline", lambda: receiver.of_type("baseline.recorded"))
            role, _ = organisation.role_held_by_a_client()
            organisation.add_to_role(role, "directory", "user", "delete")
            wait_for("the drift", lambda: receiver.of_type("drift.detected"))
            for page in ["/", "/metrics", "/readyz", "/api/v1/findings"]:
                assert get(url + page), page
            wait_for("the file of events", lambda: (Path(folder) / "ocsf.jsonl").exists())
        calls = wait_for("the end of the trace", lambda: "exit_group" in (text := trace.read_text()) and text)

    used = set(re.findall(r"^\d+ +(\w+)\(", calls, re.MULTILINE))
    assert len(used) > 40 and {"fdatasync", "sendto", "connect"} & used, f"little was watched: {used}"
    refused = used - allowed()
    assert not refused, f"SystemCallFilter refuses {sorted(refused)}"
    print(f"  system calls: {len(used)} used, all allowed")

    families = set(re.findall(r"socket\((AF_\w+)", calls))
    assert families and families <= set(values("RestrictAddressFamilies")), families
    print(f"  sockets: {', '.join(sorted(families))}")

    both = re.findall(r"(?:mmap|mprotect)\(.*PROT_WRITE\|PROT_EXEC.*", calls)
    assert not both, f"MemoryDenyWriteExecute refuses {both[:3]}"

    # ProtectSystem=strict: nothing but its own folder and /dev is written, and a file without a name in the unit's own /tmp
    # (PrivateTmp), where the platform's definition lies until it is read.
    assert values("PrivateTmp") == ["yes"]
    written = set(re.findall(r'open(?:at)?\([^"]*"([^"]+)", [^)]*O_(?:WRONLY|RDWR|CREAT)', calls))
    named = set(re.findall(r'open(?:at)?\([^"]*"(/tmp[^"]*)", (?![^)]*O_TMPFILE)[^)]*O_(?:WRONLY|RDWR|CREAT)', calls))
    elsewhere = {path for path in written if not path.startswith((folder, "/dev/null"))} - ({"/tmp"} - named)
    assert written and not elsewhere, f"written outside the state directory: {elsewhere}"
    print(f"  files: {len(written)} opened for writing, all beside the database")


main()
