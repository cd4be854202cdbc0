"""The files of deploy/ as the programs read them that they are made for: promtool, amtool, systemd, hadolint,
HCL, Grafana's own model of a dashboard."""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import hcl2
import program
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

DEPLOY = Path(__file__).parents[2] / "deploy"
# systemd's scale of exposure, times ten: at most 2.0.
EXPOSURE = "--threshold=20"


def run(*command):
    return subprocess.run([str(word) for word in command], text=True, capture_output=True, timeout=120)


def must(*command):
    """The output of a command that must succeed."""
    done = run(*command)
    assert done.returncode == 0, f"{command}:\n{done.stdout}{done.stderr}"
    return done.stdout


def prometheus_reads_the_rules():
    folder = DEPLOY / "prometheus"
    must("promtool", "check", "config", folder / "prometheus.yml")
    found = re.search(r"(\d+) rules found", must("promtool", "check", "rules", "--lint-fatal", folder / "rules.yml"))
    must("promtool", "test", "rules", folder / "rules_test.yml")
    print(f"  promtool: configuration and {found[1]} rules are sound, their tests pass")
    with tempfile.TemporaryDirectory() as copy:
        # Would the tests notice? Without its threshold the first rule fires on a healthy target.
        rules = (folder / "rules.yml").read_text()
        assert 'up{job="scopewarden"} == 0' in rules
        (Path(copy) / "rules.yml").write_text(rules.replace('up{job="scopewarden"} == 0', 'up{job="scopewarden"} >= 0'))
        (Path(copy) / "rules_test.yml").write_text((folder / "rules_test.yml").read_text())
        assert run("promtool", "test", "rules", f"{copy}/rules_test.yml").returncode != 0, "a wrong rule passes its tests"
    print("  promtool: a rule that was made wrong fails them")


def alertmanager_reads_its_sample():
    config = DEPLOY / "alertmanager/alertmanager.yml"
    must("amtool", "check-config", config)
    for severity, receiver in [("critical", "on-call"), ("warning", "team"), ("info", "team")]:
        must("amtool", "config", "routes", "test", f"--config.file={config}", f"--verify.receivers={receiver}",
             f"severity={severity}")
    print("  amtool: the sample is sound; critical goes to on-call, the rest to the team")


def systemd_reads_the_unit():
    unit = (DEPLOY / "systemd/scopewarden.service").read_text()
    # The unit names the place of an installed program; here it is the one that was built.
    unit, replaced = re.subn(r"^ExecStart=/usr/local/bin/scopewarden ", f"ExecStart={os.environ['SCOPEWARDEN']} ",
                             unit, flags=re.MULTILINE)
    assert replaced == 1, "ExecStart is not where it was"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "scopewarden.service"
        file.write_text(unit)
        verified = run("systemd-analyze", "verify", file)
        # An unknown key is only said, not counted.
        assert verified.returncode == 0 and not verified.stderr, verified.stderr
        score = must("systemd-analyze", "security", "--offline=true", EXPOSURE, file).strip().splitlines()[-1]
        print(f"  systemd-analyze verify: clean; security: {score.strip()}")

        bare = Path(folder) / "bare.service"
        bare.write_text(re.sub(r"^(Protect|Private|Restrict|System|Capab|NoNew|Memory).*\n", "", unit, flags=re.MULTILINE))
        assert run("systemd-analyze", "security", "--offline=true", EXPOSURE, bare).returncode != 0, "a bare unit passes"


def hadolint_reads_the_image():
    hadolint = Path(sys.executable).parent / "hadolint"
    must(hadolint, "--failure-threshold=style", DEPLOY / "docker/Dockerfile")
    with tempfile.NamedTemporaryFile("w") as bad:
        bad.write("FROM debian\nRUN apt-get install curl\n")
        bad.flush()
        assert run(hadolint, bad.name).returncode != 0, "a bad Dockerfile passes"
    print("  hadolint: clean")


def terraform_has_the_same_role():
    def plain(value):
        """Without the quotes that the parser keeps around strings."""
        if isinstance(value, dict):
            return {plain(key): plain(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [plain(inner) for inner in value]
        return value.strip('"') if isinstance(value, str) else value

    with open(DEPLOY / "genesys/auditor-role.tf") as file:
        parsed = plain(hcl2.load(file))
    resources = {kind: body for resource in parsed["resource"] for kind, body in resource.items()}
    role = resources["genesyscloud_auth_role"]["scopewarden_auditor"]
    client = resources["genesyscloud_oauth_client"]["scopewarden"]
    shipped = json.loads((DEPLOY / "genesys/auditor-role.json").read_text())

    def permissions(policies, entity, actions):
        return {f"{policy['domain']}:{policy[entity]}:{action}" for policy in policies for action in policy[actions]}

    terraform = permissions(role["permission_policies"], "entity_name", "action_set")
    assert terraform == permissions(shipped["permissionPolicies"], "entityName", "actionSet"), terraform
    assert (role["name"], role["description"]) == (shipped["name"], shipped["description"])
    assert "permissions" not in role and shipped["permissions"] == [], "no general permission"
    [grant] = client["roles"]
    assert grant["role_id"] == "${genesyscloud_auth_role.scopewarden_auditor.id}" and grant["division_id"] == "*", grant
    assert client["authorized_grant_type"] == "CLIENT-CREDENTIALS"
    print(f"  python-hcl2: the role of auditor-role.json: {', '.join(sorted(terraform))}")


# Names that would be something else than a string if they were not quoted as one.
NAMES = ["Reporting Engine", 'x"\n}\nresource "evil" "y" {', "${file(\"/etc/passwd\")} %{ if true }", "back\\slash $${x} \u202e tab\t"]


def terraform_reads_what_is_proposed():
    with program.simulator("--seed", "3") as organisation, tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        announced = organisation.announcement
        (folder / "secret").write_text(announced["client_secret"])
        (folder / "secret").chmod(0o600)
        (folder / "scopewarden.toml").write_text(
            f'[storage]\nurl = "sqlite:record.db"\n[[org]]\nname = "acme"\nlogin_url = "{announced["url"]}"\n'
            f'api_url = "{announced["url"]}"\nclient_id = "{announced["client_id"]}"\nclient_secret_file = "secret"\n')
        (folder / "calls").write_text("GET /api/v2/routing/queues/{queueId}\nPUT /api/v2/routing/queues/{queueId}\nGET /api/v2/users/{userId}\n")
        role, _ = organisation.role_held_by_a_client()
        made = [organisation.call("POST", "/api/v2/oauth/clients", {
            "name": name, "description": name, "authorizedGrantType": "CLIENT-CREDENTIALS",
            "roleDivisions": [{"roleId": role["id"], "divisionId": "*"}]}) for name in NAMES]

        def scopewarden(*words):
            done = subprocess.run([program.PROGRAM, *words, "--config", folder / "scopewarden.toml"], cwd=folder,
                                  text=True, capture_output=True, timeout=120)
            assert done.returncode == 0, done.stderr
            return done.stdout

        scopewarden("audit")
        for client in made:
            ask = ("least-privilege", client["id"], "--from", folder / "calls", "--output")
            proposal = json.loads(scopewarden(*ask, "json"))
            parsed = hcl2.loads(scopewarden(*ask, "terraform"))
            assert set(parsed) - {"__comments__"} == {"resource"}, parsed
            assert len(parsed["resource"]) == 2, parsed["resource"]
            resources = {kind.strip('"'): body for resource in parsed["resource"] for kind, body in resource.items()
                         if not kind.startswith("__")}
            [(label, role)] = [pair for pair in resources["genesyscloud_auth_role"].items()]
            [(_, holder)] = [pair for pair in resources["genesyscloud_oauth_client"].items()]
            word = lambda text: text.strip('"')
            policies = {(word(policy["domain"]), word(policy["entity_name"])): sorted(map(word, policy["action_set"]))
                        for policy in role["permission_policies"]}
            assert policies == {(policy["domain"], policy["entityName"]): policy["actionSet"]
                                for policy in proposal["role"]["permissionPolicies"]}, policies
            assert sorted(map(word, holder["scopes"])) == proposal["scopes"], holder
            [grant] = holder["roles"]
            assert word(grant["division_id"]) == "*" and word(label) in grant["role_id"], grant
    print(f"  python-hcl2: what `least-privilege --output terraform` prints, for {len(NAMES)} names that test its quoting")


# What Grafana's Prometheus data source reads of an annotation, and its model of annotations does not name.
OF_THE_DATA_SOURCE = {"/annotations/list[0]/titleFormat", "/annotations/list[0]/textFormat", "/annotations/list[0]/step"}


def lost(written, understood, place=""):
    """Places of `written` that `understood` does not have, or has with another value."""
    if isinstance(written, dict) and isinstance(understood, dict):
        found = [lost(value, understood.get(key), f"{place}/{key}") for key, value in written.items()]
    elif isinstance(written, list) and isinstance(understood, list) and len(written) == len(understood):
        found = [lost(*pair, f"{place}[{index}]") for index, pair in enumerate(zip(written, understood))]
    else:
        return set() if written == understood else {place}
    return set().union(*found)


def grafana_reads_the_dashboard():
    register_default_plugins()

    def unread(dashboard):
        return lost(dashboard, json.loads(JSONEncoder().encode(Dashboard.from_json(dashboard))))

    dashboard = json.loads((DEPLOY / "grafana/scopewarden.json").read_text())
    assert unread(dashboard) == OF_THE_DATA_SOURCE, f"Grafana does not know {sorted(unread(dashboard))}"
    dashboard["panels"][1]["options"]["colourMode"] = "value"
    assert "/panels[1]/options/colourMode" in unread(dashboard), "a misspelt option passes"
    print(f"  Grafana's model: all of the dashboard's {len(dashboard['panels'])} panels and rows are understood")


prometheus_reads_the_rules()
alertmanager_reads_its_sample()
systemd_reads_the_unit()
hadolint_reads_the_image()
terraform_has_the_same_role()
terraform_reads_what_is_proposed()
grafana_reads_the_dashboard()
