//! The checks within an audit: what they find, what a gap does, how time is kept.

use std::{cell::Cell, collections::BTreeMap, time::Duration};

use super::*;
use crate::domain::{
    Fact,
    checks::{
        Context, evaluate,
        tests::{context, contract, gap, with_contracts},
    },
    fixtures::{catalogue, client, role, snapshot, when},
    rotation::{Turn, Turns},
    snapshot::Snapshot,
    usage::{Calls, Tally, Usage, Window},
};

const PLENTY: Budget = Budget { each: Duration::from_secs(10), all: Duration::from_mins(1) };

/// The findings of users' checks, as (client, check, status, evidence).
fn found(
    context: Context<'_>,
    checks: &[CustomCheck],
    budget: Budget,
    elapsed: &dyn Fn() -> Duration,
) -> Vec<Finding> {
    let custom = Some(Custom { checks, budget, elapsed });
    let all = evaluate(&Context { custom, ..context }).flatten();
    all.filter(|finding| checks.iter().any(|check| check.words.id == finding.check)).collect()
}

/// What one expression says of each client of an organisation.
fn asked(
    org: &Snapshot,
    gaps: &[crate::domain::Gap],
    expression: &str,
) -> BTreeMap<String, (Status, String)> {
    let access = Access::new(org);
    let found = found(context(&access, gaps), &[check(expression)], PLENTY, &|| Duration::ZERO);
    found
        .into_iter()
        .map(|finding| (finding.client.id.to_string(), (finding.status, finding.evidence)))
        .collect()
}

fn status(org: &Snapshot, gaps: &[crate::domain::Gap], expression: &str) -> Option<Status> {
    asked(org, gaps, expression).get("c").map(|(status, _)| *status)
}

fn org() -> Snapshot {
    let clients = [client("c").grant("r", "d1"), client("d").grant("s", "*"), client("u").of_type("CODE")];
    let roles = [
        role("r").can("routing:queue:view").can_if("users:user:delete", "{}"),
        role("s").can("outbound:*:*"),
    ];
    let known = catalogue([
        "routing:queue:view",
        "users:user:delete",
        "outbound:campaign:start",
        "directory:user:delete",
    ]);
    Snapshot { catalogue: Some(known), ..snapshot(clients, roles) }.seal()
}

#[test]
fn a_condition_that_holds_is_a_finding_like_any_other() {
    let org = org();
    let mut check = check("client.holds('outbound:*:*') && !client.name.startsWith('dialer-')");
    let access = Access::new(&org);
    let find = |check: &CustomCheck| {
        found(context(&access, &[]), std::slice::from_ref(check), PLENTY, &|| Duration::ZERO)
    };
    let plain = find(&check);
    assert_eq!(plain.len(), 1);
    let finding = &plain[0];
    assert_eq!(finding.uid, uid("acme", "acme-check", &"d".into(), ""));
    assert_eq!((finding.key.as_str(), finding.status, finding.severity), ("", Status::Fail, Severity::High));
    assert_eq!(finding.title, "Client d does not pass “acme-check”");
    assert_eq!(
        finding.evidence,
        "The condition of the check acme-check holds for Client d (d): it holds outbound:*:*: yes."
    );
    check.words.title = "Client has nothing to do with outbound".to_owned();
    check.words.rationale = "Only diallers call people.".to_owned();
    check.words.remediation = "Ask the call centre.".to_owned();
    let told = &find(&check)[0];
    assert_eq!(told.title, "Client d does not pass “Client has nothing to do with outbound”");
    assert!(told.evidence.starts_with("Only diallers call people. The condition of"), "{}", told.evidence);
    assert_eq!(told.remediation, "Ask the call centre.");
    assert_eq!(told.uid, finding.uid, "words are not its identity");
}

#[test]
fn what_an_audit_saw_is_what_an_expression_sees() {
    let org = with_contracts(org(), [contract("c", &["DELETE /api/v2/users/{userId}"])]);
    for (expression, fails) in [
        ("client.id == 'c' && client.state == 'active' && client.grant_type == 'CLIENT-CREDENTIALS'", "c"),
        ("client.holds('users:user:delete')", "c"),
        ("client.holds('outbound:contact:add')", "d"),
        ("client.holds('outbound:brandnew:thing')", "d"),
        ("client.holds('*:*:start')", "d"),
        ("!client.acts_by_roles", "u"),
        ("grants.exists(g, g.division == '*' && g.role_name == 'Role s' && g.source == 'record')", "d"),
        ("grants.exists(g, g.division_name == 'Division d1')", "c"),
        ("permissions.exists(p, p.permission == 'users:user:delete' && p.conditional && p.known)", "c"),
        ("permissions.exists(p, p.permission == 'routing:queue:view' && 'd1' in p.divisions)", "c"),
        ("permissions.exists(p, p.permission == 'outbound:campaign:start' && '*' in p.divisions)", "d"),
        ("contract.declared && 'DELETE /api/v2/users/{userId}' in contract.calls", "c"),
        ("contract.missing.exists(m, m == 'DELETE /api/v2/users/{userId}')", "c"),
        ("contract.excess.exists(e, e == 'users:user:delete')", "c"),
        ("client.can('GET /api/v2/routing/queues/{queueId}')", "c"),
        (
            "operations.exists(o, o.operation == 'GET /api/v2/routing/queues/{queueId}' && o.granted == 'yes')",
            "c",
        ),
    ] {
        let failed: Vec<String> = asked(&org, &[], expression)
            .into_iter()
            .inspect(|(client, (status, evidence))| {
                assert_eq!(*status, Status::Fail, "{client}, {expression}: {evidence}");
            })
            .map(|(client, _)| client)
            .collect();
        assert_eq!(failed, [fails], "{expression}");
    }
}

#[test]
fn a_gap_makes_unknown_what_rests_on_it_and_nothing_else() {
    let org = org();
    let of_c = |fact| vec![gap(fact, Some("c"))];
    for (gaps, expression, expected) in [
        (of_c(Fact::ClientGrants), "client.holds('a:b:c')", Some(Status::Unknown)),
        (of_c(Fact::ClientGrants), "client.holds('routing:queue:view')", Some(Status::Unknown)),
        (of_c(Fact::ClientGrants), "permissions.size() > 99", Some(Status::Unknown)),
        (
            of_c(Fact::ClientGrants),
            "client.can('GET /api/v2/routing/queues/{queueId}')",
            Some(Status::Unknown),
        ),
        (of_c(Fact::ClientGrants), "client.name == 'Client c'", Some(Status::Fail)),
        (of_c(Fact::ClientGrants), "client.name == 'Client c' || client.holds('a:b:c')", Some(Status::Fail)),
        (of_c(Fact::ClientGrants), "client.name == 'other' && client.holds('a:b:c')", None),
        (of_c(Fact::Clients), "client.name == 'other'", Some(Status::Unknown)),
        (of_c(Fact::Clients), "client.id == 'other'", None),
        (vec![gap(Fact::Catalogue, None)], "permissions.size() > 99", Some(Status::Unknown)),
        (vec![gap(Fact::Catalogue, None)], "client.holds('a:b:c')", None),
        (vec![gap(Fact::Divisions, None)], "grants.exists(g, g.division_name == 'x')", Some(Status::Unknown)),
        (vec![gap(Fact::Divisions, None)], "grants.exists(g, g.division == 'x')", None),
        (vec![gap(Fact::Roles, Some("r"))], "client.holds('a:b:c')", Some(Status::Unknown)),
        (vec![gap(Fact::Roles, Some("r"))], "client.holds('routing:queue:view')", Some(Status::Fail)),
        (vec![gap(Fact::Roles, Some("r"))], "permissions.size() > 99", Some(Status::Unknown)),
        (vec![gap(Fact::Roles, Some("s"))], "client.holds('a:b:c')", None),
        (vec![], "usage.total == 0", Some(Status::Unknown)),
        (vec![], "usage.counted && usage.total == 0", None),
        (vec![], "client.can('GET /api/v2/nonsense')", Some(Status::Unknown)),
    ] {
        assert_eq!(status(&org, &gaps, expression), expected, "{expression} with {gaps:?}");
    }
    let (_, evidence) = &asked(&org, &of_c(Fact::ClientGrants), "client.holds('a:b:c')")["c"];
    assert!(evidence.starts_with("This audit could not read the client grants (forbidden):"), "{evidence}");
}

#[test]
fn grants_rest_on_the_clients_own_side_where_it_is_asked() {
    let org = org();
    let access = Access::new(&org);
    let is = |turns: Option<&Turns>, expression: &str| {
        let checks = [check(expression)];
        let found = found(Context { turns, ..context(&access, &[]) }, &checks, PLENTY, &|| Duration::ZERO);
        found.iter().find(|finding| finding.client.id.as_str() == "c").map(|finding| finding.status)
    };
    let nobody_yet = Turns::new();
    let confirmed = Turns::from([("c".into(), Turn { asked: when(), confirmed: Some(when()), due: false })]);
    assert_eq!(is(None, "grants.size() > 9"), None, "nobody is to look");
    assert_eq!(is(Some(&nobody_yet), "grants.size() > 9"), Some(Status::Unknown));
    assert_eq!(is(Some(&confirmed), "grants.size() > 9"), None);
    assert_eq!(is(Some(&confirmed), "client.grants_confirmed"), Some(Status::Fail));
    assert_eq!(is(Some(&nobody_yet), "client.grants_confirmed"), None);
}

#[test]
fn calls_are_as_they_were_counted() {
    let org = org();
    let access = Access::new(&org);
    let mut tally = Tally::new(Window::last(90, when()));
    let calls = Calls { ok: 3, denied: 2, last: Some(when().date_naive()), ..Calls::default() };
    tally.add("c", "GET", "/api/v2/users", &calls);
    let usage = Usage::join(&tally, access.operations);
    let fails = |expression: &str| {
        let context = Context { usage: Some(&usage), counts_usage: true, ..context(&access, &[]) };
        let found = found(context, &[check(expression)], PLENTY, &|| Duration::ZERO);
        assert!(found.iter().all(|finding| finding.status == Status::Fail), "{expression}: {found:?}");
        found.iter().map(|finding| finding.client.id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(fails("usage.total == 5 && usage.days == 90"), ["c"]);
    assert_eq!(fails("usage.counted && !has(usage.last_used)"), ["d", "u"]);
    assert_eq!(fails("has(usage.last_used) && now - usage.last_used < duration('24h')"), ["c"]);
    assert_eq!(
        fails("usage.calls.exists(call, call.operation == 'GET /api/v2/users' && call.denied == 2)"),
        ["c"]
    );
}

#[test]
fn over_its_time_a_check_is_unknown_and_never_a_pass() {
    let org = org();
    let access = Access::new(&org);
    let checks = |count: usize| -> Vec<CustomCheck> {
        let all = (0..count).map(|at| {
            let mut one = check("client.holds('a:b:c')");
            one.words.id = format!("acme-{at}");
            one
        });
        all.collect()
    };
    // Each look at the clock takes a second.
    let ticks = Cell::new(0_u64);
    let clock = || {
        ticks.set(ticks.get() + 1);
        Duration::from_secs(ticks.get())
    };
    let unknown = |budget: Budget, count: usize| {
        ticks.set(0);
        let found = found(context(&access, &[]), &checks(count), budget, &clock);
        assert!(found.iter().all(|finding| finding.status == Status::Unknown));
        found.into_iter().map(|one| (one.client.id.to_string(), one.check, one.evidence)).collect::<Vec<_>>()
    };
    let seconds = Duration::from_secs;
    assert_eq!(unknown(Budget { each: seconds(100), all: seconds(100) }, 2), []);
    let each = unknown(Budget { each: seconds(2), all: seconds(100) }, 2);
    let clients: Vec<_> = each.iter().map(|(client, check, _)| (client.as_str(), check.as_str())).collect();
    assert_eq!(clients, [("u", "acme-0"), ("u", "acme-1")], "two clients took a second each");
    assert_eq!(
        each[0].2,
        "The time for this check (audit.check_budget = 2s) was over before this client's turn came."
    );
    let all = unknown(Budget { each: seconds(100), all: seconds(3) }, 2);
    let clients: Vec<_> = all.iter().map(|(client, check, _)| (client.as_str(), check.as_str())).collect();
    // One second to prepare, one for the client, one for the first check.
    assert_eq!(
        clients,
        [("c", "acme-1"), ("d", "acme-0"), ("d", "acme-1"), ("u", "acme-0"), ("u", "acme-1")]
    );
    assert_eq!(
        all[0].2,
        "The time for all checks of your own together (audit.checks_budget = 3s) was over before this client's turn came."
    );
}
