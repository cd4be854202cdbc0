//! What least privilege costs: 40 declared calls over the whole table of operations, after loading.
//!
//! `cargo bench --bench least_privilege` (needs nothing). One organisation of 1,000 clients in memory, whose client under
//! test holds a role of 100 permissions, or an administrator's. Random contracts, each timed by itself: need, exact cover,
//! scopes, comparison and role. Figures are reported, nothing is asserted.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a report: it prints, and stops where it cannot go on"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use scopewarden::domain::{
    DivisionRef,
    access::Access,
    catalogue::{Catalogue, Operations},
    contract::{Declared, companion::Companions, propose},
    inventory::{Client, ClientState, Grant, GrantType, Policy, Role},
    snapshot::Snapshot,
};

const CONTRACTS: usize = 500;

fn main() {
    let operations = Operations::compiled_in();
    let begun = Instant::now();
    let companions = Companions::with(&[]);
    let organisation = organisation();
    let access = Access::new(&organisation);
    let mut dice = 1_u64;
    let mut below = |most: usize| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(dice >> 33).unwrap() % most
    };
    // What the first question pays for all: numbering what each operation needs.
    access.needs_of(0);
    println!("loading (1,000 clients, 1,000 roles): {} ms\n", begun.elapsed().as_millis());
    println!("| declared calls | holds | p50 | p99 | most | not proven |");
    println!("|--:|---|--:|--:|--:|--:|");
    for calls in [10, 40, 400] {
        for (id, holds) in [("c0", "100 permissions"), ("c1", "admin")] {
            let client = &organisation.clients[id];
            let mut unproven = 0;
            let mut times: Vec<Duration> = (0..CONTRACTS)
                .map(|_| {
                    let names: BTreeSet<String> = (0..calls)
                        .map(|_| operations.get(below(operations.len())).unwrap().name.to_string())
                        .collect();
                    let begun = Instant::now();
                    let declared = Declared::new(&access, &names, &[]);
                    let proposal = propose("acme", &access, client, &declared, &companions, false);
                    unproven += usize::from(!proposal.minimal);
                    begun.elapsed()
                })
                .collect();
            times.sort_unstable();
            let at = |share: usize| times[(times.len() - 1) * share / 100].as_secs_f64() * 1e3;
            println!(
                "| {calls} | {holds} | {:.2} ms | {:.2} ms | {:.2} ms | {unproven} of {CONTRACTS} |",
                at(50),
                at(99),
                at(100)
            );
        }
    }
}

fn organisation() -> Snapshot {
    let permissions: Vec<&str> = Catalogue::compiled_in().permissions.keys().map(String::as_str).collect();
    let role = |number: usize| {
        let held = (0..100).map(|at| permissions[(number * 37 + at * 13) % permissions.len()]);
        let policies = held.map(|name| {
            let parts: Vec<&str> = name.splitn(3, ':').collect();
            Policy {
                actions: [parts[2].to_owned()].into(),
                condition: None,
                domain: parts[0].to_owned(),
                entity: parts[1].to_owned(),
            }
        });
        Role {
            default_role_id: None,
            description: String::new(),
            general: if number == 1 { ["admin".to_owned()].into() } else { BTreeSet::new() },
            id: format!("r{number}").into(),
            is_default: false,
            name: format!("Role {number}"),
            policies: policies.collect(),
        }
    };
    let client = |number: usize| Client {
        created_by: None,
        date_created: None,
        date_to_delete: None,
        description: String::new(),
        grant_type: GrantType::ClientCredentials,
        grants: Some([Grant { division: DivisionRef::All, role: format!("r{number}").into() }].into()),
        id: format!("c{number}").into(),
        name: format!("Client {number}"),
        redirect_uris: BTreeSet::new(),
        scopes: BTreeSet::new(),
        state: ClientState::Active,
        token_lifetime_s: None,
    };
    let roles: BTreeMap<_, _> = (0..1_000).map(role).map(|role| (role.id.clone(), role)).collect();
    let clients: BTreeMap<_, _> = (0..1_000).map(client).map(|client| (client.id.clone(), client)).collect();
    let mut snapshot = Snapshot::default();
    snapshot.clients = clients;
    snapshot.roles = roles;
    snapshot.catalogue = Some(Catalogue::compiled_in().clone());
    snapshot.seal()
}
