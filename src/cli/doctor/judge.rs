//! What an examination of the platform means.
//!
//! Enters: an [`Examination`]. Leaves: answers with what to do, and observations. Must never: do I/O, or pass what was not
//! seen.

use std::collections::BTreeSet;

use chrono::TimeDelta;

use super::{Answer, Observation, Verdict};
use crate::{
    collect::{ClientsSeen, Clock, Examination, OwnPower, RolesSeen},
    domain::{DivisionRef, inventory::OwnGrants, permission::Pattern},
};

/// Clocks that differ by more are a problem: receivers refuse a signature that is five minutes old, and every message
/// has some way to go.
const MOST_SKEW: TimeDelta = TimeDelta::seconds(60);
/// Entries of a list.
const LISTED: usize = 10;

/// The answers about one organisation.
pub(super) fn answers(seen: &Examination) -> Vec<Answer> {
    let mut answers = vec![match &seen.organisation {
        Ok(organisation) => {
            let detail = format!("reached, token issued: {} ({})", organisation.name, organisation.id);
            Answer::of("platform", Verdict::Ok, detail)
        }
        Err(error) => Answer::of("platform", Verdict::Problem, error.to_string())
            .advise("check region, client_id and the client's secret in the configuration"),
    }];
    if seen.calls.is_empty() {
        return answers;
    }
    answers.push(clock(seen.clock));
    for (endpoint, outcome) in &seen.calls {
        let probe = format!("read {}", endpoint.name());
        answers.push(match outcome {
            Ok(()) => Answer::of(probe, Verdict::Ok, endpoint.as_str()),
            // The error's sentence says what to do.
            Err(error) => Answer::of(probe, Verdict::Problem, error.to_string()),
        });
    }
    answers.extend(grants(seen.own.as_ref()));
    answers
}

fn clock(clock: Option<Clock>) -> Answer {
    let Some(Clock { platform, ours }) = clock else {
        let detail = "the platform's answers name no time";
        return Answer::of("clock", Verdict::CannotTell, detail);
    };
    let skew = ours - platform;
    let seconds = skew.abs().num_seconds();
    let which = if skew < TimeDelta::zero() { "behind" } else { "ahead of" };
    let detail = format!("this machine's clock is {seconds} s {which} the platform's");
    if skew.abs() <= MOST_SKEW {
        return Answer::of("clock", Verdict::Ok, detail);
    }
    Answer::of("clock", Verdict::Problem, detail).advise(
        "set the clock (NTP): receivers refuse webhook signatures whose time is more than five minutes off, and times in \
         the record would be wrong",
    )
}

/// Whether the auditor holds what it needs, everywhere, and nothing more.
fn grants(own: Option<&OwnPower>) -> Vec<Answer> {
    let Some(own) = own else {
        let detail = "the auditor's own grants could not be read";
        return vec![Answer::of("permissions", Verdict::CannotTell, detail)];
    };
    let mut answers = Vec::new();
    for need in OwnGrants::NEEDS {
        let held: BTreeSet<&DivisionRef> = (own.patterns.iter())
            .filter(|(pattern, _)| Pattern::parse(pattern).matches(need.permission))
            .flat_map(|(_, divisions)| divisions)
            .collect();
        let probe = format!("permission {}", need.permission);
        let add = "add it to the auditor's role (`doctor --role json` prints the role, `--role terraform` its resource)";
        answers.push(if held.contains(&DivisionRef::All) {
            Answer::of(probe, Verdict::Ok, format!("for {}; held in all divisions", need.reason))
        } else if !held.is_empty() {
            let detail = format!("held in {} only, not in all divisions", count(held.len(), "division"));
            Answer::of(probe, Verdict::Problem, detail)
                .advise("grant the role in all divisions (`*`): in fewer the auditor may be shown less, without an error")
        } else {
            let verdict = if need.required { Verdict::Problem } else { Verdict::CannotTell };
            let detail = format!("missing: {} cannot be read; {}", need.reason, need.without);
            // A general permission that the answer does not list may still allow the call.
            Answer::of(probe, verdict, detail).advise(add)
        });
    }
    let log = own.patterns.keys().any(|pattern| Pattern::parse(pattern).matches(OwnGrants::AUDIT_LOG));
    let detail = if log {
        "held: changes are told with who made them"
    } else {
        "optional, not held: changes are told without who made them"
    };
    answers.push(Answer::of(format!("permission {}", OwnGrants::AUDIT_LOG), Verdict::Ok, detail));
    let needed: BTreeSet<&str> = OwnGrants::needed().chain(OwnGrants::WELCOME.iter().copied()).collect();
    let extra: Vec<&str> =
        own.patterns.keys().map(String::as_str).filter(|pattern| !needed.contains(pattern)).collect();
    answers.push(if extra.is_empty() {
        Answer::of("no more than needed", Verdict::Ok, "its roles give nothing else")
    } else {
        let mut listed: Vec<String> = extra.iter().take(LISTED).map(|&pattern| pattern.to_owned()).collect();
        if extra.len() > LISTED {
            listed.push(format!("{} more", extra.len() - LISTED));
        }
        let detail = format!("too much: {}", listed.join(", "));
        Answer::of("no more than needed", Verdict::Problem, detail).advise(
            "take these out of the auditor's roles: it only reads, and whoever steals its secret gets what it holds",
        )
    });
    let divisions = own.divisions.iter().filter(|division| **division != DivisionRef::All).count();
    answers.push(if own.divisions.contains(&DivisionRef::All) {
        Answer::of("divisions", Verdict::Ok, "it sees all divisions, those to come included")
    } else {
        let detail = format!("it holds roles in {} and none in all", count(divisions, "division"));
        Answer::of("divisions", Verdict::Problem, detail).advise("grant its role in all divisions (`*`)")
    });
    answers
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// What the organisation showed of what is documented nowhere.
pub(super) fn observations(org: &str, seen: &Examination) -> Vec<Observation> {
    let mut list: Vec<(&'static str, String)> = Vec::new();
    if let Some(clients) = seen.clients {
        list.extend(of_clients(clients));
    }
    if let Some(roles) = seen.roles {
        list.extend(of_roles(roles));
    }
    if let Some((divisions, counted)) = seen.divisions {
        let observed = format!("{counted} of {} on the first page", count(divisions, "division"));
        list.push(("divisions come with counts of what they hold", observed));
    }
    if let Some(own) = &seen.own {
        let all = own.divisions.contains(&DivisionRef::All);
        let observed = format!(
            "answered, with {} and {}; a grant in all divisions {}",
            count(own.patterns.len(), "permission"),
            count(own.divisions.len(), "division"),
            if all { "has the division `*`" } else { "was not seen" }
        );
        list.push(("a client-credentials token may read its own grants", observed));
    }
    if let Some(names) = seen.token_names_client {
        let observed =
            if names { "answered, and names its OAuth client" } else { "answered without an OAuth client" };
        list.push(("GET /api/v2/tokens/me answers a client-credentials token", observed.to_owned()));
    }
    if let Some(status) = seen.user_status {
        list.push((
            "GET /api/v2/users/me refuses a client-credentials token with 400",
            format!("status {status}"),
        ));
    }
    list.push(match seen.rate {
        Some(rate) => {
            let observed =
                format!("{} calls allowed, {} used, {} s left", rate.allowed, rate.used, rate.reset);
            ("answers carry the rate limit of the token", observed)
        }
        None => ("answers carry the rate limit of the token", "no such header".to_owned()),
    });
    if let Some(limits) = &seen.limits {
        let limits: Vec<String> = limits.iter().map(|(name, value)| format!("{name} = {value}")).collect();
        let observed = if limits.is_empty() {
            "answered, in a form that is not known".to_owned()
        } else {
            limits.join(", ")
        };
        list.push(("the platform's limits can be read", observed));
    }
    if let Some(features) = &seen.scope_features {
        let features: Vec<String> = features.iter().map(|(name, on)| format!("{name} = {on}")).collect();
        let observed =
            if features.is_empty() { "no feature of that name".to_owned() } else { features.join(", ") };
        list.push(("the organisation's features tell whether scopes are enforced", observed));
    }
    if let Some(operations) = seen.operations {
        list.push(("the platform's definition lists every operation", format!("{operations} operations")));
    }
    list.into_iter().map(|(belief, observed)| Observation { org: org.to_owned(), belief, observed }).collect()
}

fn of_clients(seen: ClientsSeen) -> Vec<(&'static str, String)> {
    let total = seen
        .total
        .map_or_else(|| "it does not say how many there are".to_owned(), |total| format!("of {total}"));
    let paging = match seen.with_page_size_one {
        None => "pageSize=1 was refused".to_owned(),
        Some(1) if seen.records > 1 => {
            "pageSize=1 gave one record: paging parameters are honoured".to_owned()
        }
        Some(_) if seen.records <= 1 => "there is too little to tell".to_owned(),
        Some(records) => {
            format!("pageSize=1 gave {records} records all the same: paging parameters are ignored")
        }
    };
    vec![
        (
            "the client listing comes whole",
            format!("{} came, {total}; {paging}", count(seen.records, "record")),
        ),
        (
            "client records carry no secret",
            format!("{} of {} carry one (it is never kept)", seen.with_secret, seen.records),
        ),
        (
            "records of client credentials carry roleDivisions",
            format!("{} of {}", seen.with_role_divisions, seen.credentials),
        ),
        (
            "clients with client credentials have no scopes",
            format!("{} of {} have some", seen.with_scope, seen.credentials),
        ),
    ]
}

fn of_roles(seen: RolesSeen) -> Vec<(&'static str, String)> {
    let wildcards = match (seen.with_wildcards, seen.with_any_domain) {
        (0, _) => "none came raw: they are shown expanded, or no role has one".to_owned(),
        (some, 0) => format!("raw in {}; none for a whole domain list", count(some, "role")),
        (some, any) => format!("raw in {}, {any} of them with `*` for the domain", count(some, "role")),
    };
    let largest = match seen.page_size_of_200 {
        Some(size) => format!("asked for 200 a page, it names {size}"),
        None => "asked for 200 a page, it refused".to_owned(),
    };
    vec![("roles show wildcards as written", wildcards), ("role pages hold more than 100", largest)]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::collect::{Endpoint, Error, Organisation};

    fn own(patterns: &[(&str, &[&str])]) -> OwnPower {
        let division = |&name: &&str| DivisionRef::from(name.to_owned());
        let patterns: BTreeMap<String, BTreeSet<DivisionRef>> = patterns
            .iter()
            .map(|(pattern, divisions)| ((*pattern).to_owned(), divisions.iter().map(division).collect()))
            .collect();
        OwnPower { divisions: patterns.values().flatten().cloned().collect(), patterns }
    }

    fn seen(own: Option<OwnPower>, ahead_s: i64) -> Examination {
        let platform = "2026-11-24T12:00:00Z".parse().unwrap();
        Examination {
            organisation: Ok(Organisation { id: "o".to_owned(), name: "Acme".to_owned() }),
            clock: Some(Clock { platform, ours: platform + TimeDelta::seconds(ahead_s) }),
            rate: None,
            calls: vec![(Endpoint::Clients, Ok(()))],
            own,
            clients: None,
            roles: None,
            divisions: None,
            operations: None,
            token_names_client: None,
            user_status: None,
            limits: None,
            scope_features: None,
        }
    }

    /// Probes that are not fine, with their verdict.
    fn wrong(seen: &Examination) -> Vec<(String, Verdict)> {
        let answers = answers(seen).into_iter().filter(|answer| answer.verdict != Verdict::Ok);
        answers.map(|answer| (answer.probe, answer.verdict)).collect()
    }

    const CLIENTS: (&str, &[&str]) = ("oauth:client:view", &["*"]);
    const ROLES: (&str, &[&str]) = ("authorization:role:view", &["*"]);
    const GRANTS: (&str, &[&str]) = ("authorization:grant:view", &["*"]);
    const ENOUGH: &[(&str, &[&str])] = &[CLIENTS, ROLES, GRANTS];

    #[test]
    fn exactly_what_is_needed_everywhere_is_fine() {
        assert_eq!(wrong(&seen(Some(own(ENOUGH)), 0)), []);
        assert_eq!(wrong(&seen(Some(own(ENOUGH)), -60)), []);
        let newer_count = own(&[CLIENTS, ROLES, GRANTS, ("usage:organization:view", &["*"])]);
        assert_eq!(wrong(&seen(Some(newer_count), 0)), []);
    }

    #[test]
    fn each_thing_that_is_wrong_is_named() {
        let problem = |probe: &str| (probe.to_owned(), Verdict::Problem);
        let lacking = own(&[CLIENTS, GRANTS]);
        assert_eq!(wrong(&seen(Some(lacking), 0)), [problem("permission authorization:role:view")]);
        let without_an_option = wrong(&seen(Some(own(&[CLIENTS, ROLES])), 0));
        assert_eq!(
            without_an_option,
            [("permission authorization:grant:view".to_owned(), Verdict::CannotTell)]
        );
        let extra = own(&[CLIENTS, ROLES, GRANTS, ("oauth:client:edit", &["*"])]);
        assert_eq!(wrong(&seen(Some(extra), 0)), [problem("no more than needed")]);
        // A wildcard holds what is needed, and more than that.
        let wild = own(&[("oauth:*:*", &["*"]), ROLES, GRANTS]);
        assert_eq!(wrong(&seen(Some(wild), 0)), [problem("no more than needed")]);
        let narrow = own(&[
            ("oauth:client:view", &["d1", "d2"]),
            ("authorization:role:view", &["d1"]),
            ("authorization:grant:view", &["d1"]),
        ]);
        assert_eq!(
            wrong(&seen(Some(narrow), 0)),
            [
                problem("permission oauth:client:view"),
                problem("permission authorization:role:view"),
                problem("permission authorization:grant:view"),
                problem("divisions")
            ]
        );
        assert_eq!(wrong(&seen(Some(own(ENOUGH)), 61)), [problem("clock")]);
        assert_eq!(wrong(&seen(Some(own(ENOUGH)), -61)), [problem("clock")]);
    }

    #[test]
    fn what_was_not_seen_is_no_pass() {
        let unseen = seen(None, 0);
        assert_eq!(wrong(&unseen), [("permissions".to_owned(), Verdict::CannotTell)]);
        let timeless = Examination { clock: None, ..seen(Some(own(ENOUGH)), 0) };
        assert_eq!(wrong(&timeless), [("clock".to_owned(), Verdict::CannotTell)]);
        let refused = Error::Auth { endpoint: Endpoint::Token, detail: "no".to_owned() };
        let out = Examination { organisation: Err(refused), calls: Vec::new(), ..seen(None, 0) };
        assert_eq!(wrong(&out), [("platform".to_owned(), Verdict::Problem)]);
        let unread = Error::Forbidden { endpoint: Endpoint::Roles, detail: "missing".to_owned() };
        let some = Examination { calls: vec![(Endpoint::Roles, Err(unread))], ..seen(Some(own(ENOUGH)), 0) };
        assert_eq!(wrong(&some), [("read roles_list".to_owned(), Verdict::Problem)]);
    }

    #[test]
    fn observations_say_what_was_seen_and_nothing_of_what_was_not() {
        let clients = ClientsSeen {
            records: 20,
            total: Some(20),
            with_page_size_one: Some(20),
            ..ClientsSeen::default()
        };
        let seen = Examination { clients: Some(clients), ..seen(None, 0) };
        let observed: Vec<String> = observations("acme", &seen).into_iter().map(|one| one.observed).collect();
        assert_eq!(
            observed[0],
            "20 records came, of 20; pageSize=1 gave 20 records all the same: paging parameters are ignored"
        );
        assert_eq!(observed[1], "0 of 20 carry one (it is never kept)");
        assert_eq!(observed.last().unwrap(), "no such header");
        assert_eq!(observed.len(), 5);
    }
}
