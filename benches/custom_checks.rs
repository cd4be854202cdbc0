//! What users' own checks cost: 20 expressions over 10,000 clients with 500 roles, next to the built-in checks.
//!
//! `cargo bench --bench custom_checks` (needs nothing). An organisation is simulated and audited once; everything after that is
//! measured on the recorded snapshot, in this process, on one core. Figures are reported, nothing is asserted.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a report: it prints, and stops where it cannot go on"
)]

use std::{
    fs, hint,
    os::unix::fs::PermissionsExt,
    sync::Arc,
    time::{Duration, Instant},
};

use scopewarden::{
    audit::Auditor,
    config::{Config, Environment},
    domain::{
        Severity,
        access::Access,
        checks::{
            Context,
            custom::{Budget, Custom, CustomCheck, Words},
            evaluate,
        },
        contract::companion::Companions,
        finding::Status,
        snapshot::Snapshot,
    },
    simulator::{Options, Simulator},
    store::Store,
    telemetry::Metrics,
};

const ROUNDS: usize = 5;

/// What people write: questions of permissions and operations, fields, short lists.
const PLAIN: [&str; 18] = [
    "client.holds('outbound:*:*') && !client.name.startsWith('dialer-')",
    "client.holds('*:*:delete') && client.description == ''",
    "client.holds('oauth:client:*') || client.holds('authorization:role:*')",
    "client.holds('recording:recording:view') && !contract.declared",
    "client.holds('users:user:delete') && client.holds('routing:queue:delete')",
    "client.can('DELETE /api/v2/users/{userId}') && client.state == 'active'",
    "client.can('POST /api/v2/oauth/clients')",
    "client.can('PUT /api/v2/authorization/roles/{roleId}') && !client.name.contains('admin')",
    "client.token_lifetime_s > 43200",
    "client.grant_type in ['TOKEN', 'PASSWORD']",
    "client.name.matches('^(test|tmp|old)[-_]')",
    "client.redirect_uris.exists(uri, !uri.startsWith('https://'))",
    "client.scopes.exists(scope, !scope.endsWith(':readonly')) && !contract.declared",
    "has(client.created) && now - client.created > duration('17520h') && client.description == ''",
    "grants.exists(grant, grant.division == '*') && grants.size() > 3",
    "grants.exists(grant, grant.role_name.lowerAscii().contains('admin'))",
    "!contract.declared && client.acts_by_roles && client.holds('routing:*:*')",
    "usage.counted && usage.total == 0 && client.state == 'active'",
];

/// Through every permission that a client holds.
const LISTS: [&str; 2] = [
    "permissions.exists(p, p.tier == 'critical' && !p.conditional)",
    "permissions.filter(p, p.permission.endsWith(':delete')).size() > 20",
];

/// Through every operation of the platform, for each client.
const LONGEST: [&str; 1] =
    ["operations.exists(o, o.granted == 'yes' && o.operation.startsWith('DELETE /api/v2/users'))"];

fn main() {
    // reqwest takes the process's provider; the program installs its own, and this is another process.
    rustls::crypto::ring::default_provider().install_default().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let snapshot = runtime.block_on(load());
    let access = Access::new(&snapshot);
    hint::black_box(access.needs());
    let begun = Instant::now();
    let (plain, lists, longest) = (checks(&PLAIN), checks(&LISTS), checks(&LONGEST));
    println!(
        "{} clients, {} roles; 21 expressions compiled in {:.1} ms\n",
        snapshot.clients.len(),
        snapshot.roles.len(),
        ms(begun.elapsed())
    );
    println!("| checks | shortest | median | longest | fail | unknown |\n|---|--:|--:|--:|--:|--:|");
    report("the built-in ones alone", &access, &[]);
    report("and 18 plain ones", &access, &plain);
    report("and 2 over the permissions", &access, &lists);
    report("and all of these 20", &access, &[plain, lists].concat());
    report("and 1 over all operations", &access, &longest);
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn checks(expressions: &[&str]) -> Vec<CustomCheck> {
    let one = |expression: &&str| {
        let words = Words {
            id: format!("acme-{}", expression.len()),
            severity: Severity::Low,
            title: String::new(),
            rationale: String::new(),
            remediation: String::new(),
        };
        CustomCheck::new(words, expression, Vec::new()).unwrap()
    };
    expressions.iter().map(one).collect()
}

fn report(what: &str, access: &Access<'_>, checks: &[CustomCheck]) {
    let companions = Companions::with(&[]);
    let begun = Instant::now();
    let elapsed = move || begun.elapsed();
    let hour = Duration::from_hours(1);
    let context = Context {
        org: "acme",
        access,
        gaps: &[],
        companions: &companions,
        object_counts: None,
        probes: None,
        now: "2026-11-25T00:00:00Z".parse().unwrap(),
        turns: None,
        usage: None,
        counts_usage: false,
        declared: None,
        custom: Some(Custom { checks, budget: Budget { each: hour, all: hour }, elapsed: &elapsed }),
    };
    let mut times = Vec::new();
    let (mut fail, mut unknown) = (0, 0);
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        (fail, unknown) = (0, 0);
        for finding in evaluate(&context).flatten() {
            let own = finding.check.starts_with("acme-");
            fail += usize::from(own && finding.status == Status::Fail);
            unknown += usize::from(own && finding.status == Status::Unknown);
        }
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    println!(
        "| {what} | {:.0} ms | {:.0} ms | {:.0} ms | {fail} | {unknown} |",
        ms(times[0]),
        ms(times[ROUNDS / 2]),
        ms(times[ROUNDS - 1])
    );
}

/// One audit of a simulated organisation; its snapshot as the commands read it.
async fn load() -> Snapshot {
    let options = Options { clients: 10_000, roles: 500, divisions: 50, ..Options::default() };
    let simulator = Simulator::start("127.0.0.1:0".parse().unwrap(), &options).await.unwrap();
    let announced = simulator.announcement();
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    fs::write(&secret, &announced.client_secret).unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let file = folder.path().join("scopewarden.toml");
    let url = &announced.url;
    let text = format!(
        "[storage]\nurl = \"sqlite:record.db\"\n[[org]]\nname = \"acme\"\nlogin_url = \"{url}\"\napi_url = \"{url}\"\n\
         client_id = \"{}\"\nclient_secret_file = \"secret\"\n",
        announced.client_id
    );
    fs::write(&file, text).unwrap();
    let config = Config::load_in(Some(&file), &Environment::default()).unwrap();
    let store = Store::open(&config.storage.path).await.unwrap();
    let mut auditor =
        Auditor::new(&config, &config.orgs[0], store.clone(), Arc::new(Metrics::new())).unwrap();
    let now = "2026-11-25T00:00:00Z".parse().unwrap();
    auditor.audit(Duration::from_mins(5), &|_| {}, now).await.unwrap();
    store.snapshot_at("acme", None).await.unwrap().unwrap().snapshot
}
