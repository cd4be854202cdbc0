//! Whose grants are looked at next. Each look costs a call, so an audit looks at a few clients and the next one at others.
//!
//! Enters: the clients, when each was looked at, and how many calls there are. Leaves: whom to ask now, and the turns as
//! they stand afterwards. Must never: ask for more than the calls allow, or let a client wait for ever: whoever has
//! waited longest keeps a part of every round of four calls or more, whatever else changes.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::{
    ClientId, RoleId,
    access::acts_by_roles,
    inventory::{Client, Role},
    snapshot::Snapshot,
};

/// Calls of an audit where the configuration does not say otherwise: no fewer than this…
const LEAST: u32 = 10;
/// … and no more: an audit waits some ten seconds for these at the pace that the platform's rate limit leaves an auditor,
/// and what it saw of roles and records should not wait longer to be told.
const MOST: u32 = 40;
/// Of so many calls, one is for those who have waited longest, even if more clients changed than there are calls.
const KEPT_ONE_IN: usize = 4;

/// One client's last look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// When the platform was last asked, with or without success.
    pub asked: DateTime<Utc>,
    /// When it last answered.
    pub confirmed: Option<DateTime<Utc>>,
    /// The client changed since then and has not been looked at.
    pub due: bool,
}

/// The last look at each client. Who is missing was never looked at.
pub type Turns = BTreeMap<ClientId, Turn>;

/// Whom one audit asks about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// In this order.
    pub ask: Vec<ClientId>,
    /// The first so many of them are asked even if they have to wait for the rate limit, the others if there is room.
    pub must: usize,
    /// Everybody who takes turns: clients whose power comes from roles.
    pub members: BTreeSet<ClientId>,
    /// Clients that are new or changed. Those that are not in `ask` come first next time.
    pub due: BTreeSet<ClientId>,
}

/// Calls of one audit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// No more than these.
    pub most: u32,
    /// Those among them for clients that are not new or changed which are made even if they have to wait for the rate
    /// limit. The others are made if there is room: they bring a change to light sooner.
    pub share: u32,
}

impl Budget {
    /// So many, as the configuration says.
    pub fn fixed(calls: u32) -> Self {
        Self { most: calls, share: calls }
    }

    /// The calls that look at `clients` once a day with `runs_a_day` audits, and a quarter more for those that change;
    /// within bounds, so for many clients and few audits it may not be enough ([`days_for_all`] tells).
    pub fn daily(clients: usize, runs_a_day: u32) -> Self {
        let share = clients.saturating_mul(5).div_ceil(4).div_ceil(runs_a_day.max(1) as usize);
        let share = u32::try_from(share).unwrap_or(u32::MAX).min(MOST);
        Self { most: share.max(LEAST), share }
    }
}

/// Days until every one of `clients` was looked at, if none changes; `None`: never, there are no calls.
pub fn days_for_all(clients: usize, budget: Budget, runs_a_day: u32) -> Option<f64> {
    let rounds = clients.div_ceil(usize::try_from(budget.share).ok().filter(|&calls| calls > 0)?);
    let rounds = u32::try_from(rounds).unwrap_or(u32::MAX);
    Some(f64::from(rounds) / f64::from(runs_a_day.max(1)))
}

/// Whom to ask with so many calls: who is new or changed first, then who was asked longest ago.
pub fn round(
    clients: &[Client],
    roles: &[Role],
    before: Option<&Snapshot>,
    turns: &Turns,
    budget: Budget,
) -> Round {
    let listed: BTreeSet<&RoleId> = roles.iter().map(|role| &role.id).collect();
    let mut round = Round::default();
    let (mut due, mut settled) = (Vec::new(), Vec::new());
    for client in clients.iter().filter(|client| acts_by_roles(client)) {
        round.members.insert(client.id.clone());
        let turn = turns.get(&client.id);
        let key = (turn.map(|turn| turn.asked), &client.id);
        if turn.is_none_or(|turn| turn.due) || before.is_some_and(|past| changed(client, past, &listed)) {
            round.due.insert(client.id.clone());
            due.push(key);
        } else {
            settled.push(key);
        }
    }
    due.sort_unstable();
    settled.sort_unstable();
    let number = |calls: u32| usize::try_from(calls).unwrap_or(usize::MAX);
    let calls = number(budget.most);
    let kept = settled.len().min(calls / KEPT_ONE_IN);
    let urgent = due.len().min(calls - kept);
    let rest = calls - urgent;
    let asked = due.into_iter().take(urgent).chain(settled.into_iter().take(rest));
    round.ask = asked.map(|(_, id)| id.clone()).collect();
    round.must = round.ask.len().min(urgent.saturating_add(number(budget.share)));
    round
}

/// Whether the client's record is not that of the audit before, or a role that it was seen to hold is gone.
fn changed(client: &Client, past: &Snapshot, listed: &BTreeSet<&RoleId>) -> bool {
    let went = |role: &RoleId| past.roles.contains_key(role) && !listed.contains(role);
    past.clients.get(&client.id) != Some(client)
        || past.grants.get(&client.id).is_some_and(|seen| seen.grants().any(|grant| went(&grant.role)))
}

/// The turns that are not what they were: `asked` are the clients that the platform was really asked about, each with
/// whether it answered.
pub fn settle(round: &Round, asked: &BTreeMap<ClientId, bool>, turns: &Turns, now: DateTime<Utc>) -> Turns {
    let mut changed = Turns::new();
    for (id, answered) in asked {
        let before = turns.get(id).and_then(|turn| turn.confirmed);
        let confirmed = if *answered { Some(now) } else { before };
        // One that could not be read waits for its next turn: to insist would take the calls of all others.
        changed.insert(id.clone(), Turn { asked: now, confirmed, due: false });
    }
    for id in round.due.iter().filter(|id| !asked.contains_key(*id)) {
        // One without a turn is first anyway.
        if let Some(turn) = turns.get(id).filter(|turn| !turn.due) {
            changed.insert(id.clone(), Turn { due: true, ..*turn });
        }
    }
    changed
}

/// When the client that has waited longest was last confirmed; `None`: somebody never was, or nobody takes turns.
pub fn oldest(members: &BTreeSet<ClientId>, turns: &Turns) -> Option<DateTime<Utc>> {
    let mut oldest = None;
    for id in members {
        let confirmed = turns.get(id)?.confirmed?;
        oldest = Some(oldest.map_or(confirmed, |other: DateTime<Utc>| other.min(confirmed)));
    }
    oldest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::fixtures::{client, role, snapshot, when};

    fn clients(count: usize) -> Vec<Client> {
        (0..count).map(|n| client(&format!("c{n:03}")).grant("r", "*")).collect()
    }

    fn names(round: &Round) -> Vec<&str> {
        round.ask.iter().map(ClientId::as_str).collect()
    }

    fn answer(round: &Round) -> BTreeMap<ClientId, bool> {
        round.ask.iter().map(|id| (id.clone(), true)).collect()
    }

    /// Plays one audit: asks, and everybody answers.
    fn play(
        clients: &[Client],
        before: Option<&Snapshot>,
        turns: &mut Turns,
        budget: u32,
        minute: i64,
    ) -> Round {
        let round = round(clients, &[role("r")], before, turns, Budget::fixed(budget));
        let now = when() + chrono::TimeDelta::minutes(minute);
        turns.extend(settle(&round, &answer(&round), turns, now));
        round
    }

    #[test]
    fn the_new_come_first_then_those_asked_longest_ago() {
        let (all, mut turns) = (clients(5), Turns::new());
        let past = snapshot(clients(5), [role("r")]);
        assert_eq!(names(&play(&all, None, &mut turns, 2, 0)), ["c000", "c001"]);
        assert_eq!(names(&play(&all, Some(&past), &mut turns, 2, 1)), ["c002", "c003"]);
        assert_eq!(names(&play(&all, Some(&past), &mut turns, 2, 2)), ["c004", "c000"]);
        assert_eq!(names(&play(&all, Some(&past), &mut turns, 0, 3)), [""; 0]);
    }

    #[test]
    fn a_client_that_changed_is_asked_at_once_and_stays_first_until_it_was() {
        let (mut all, mut turns) = (clients(6), Turns::new());
        play(&all, None, &mut turns, 6, 0);
        let past = snapshot(clients(6), [role("r")]);
        all[5].description = "changed".to_owned();
        let first = play(&all, Some(&past), &mut turns, 0, 1);
        assert!(first.due.contains("c005") && turns["c005"].due, "no call was left for it");
        let now = snapshot(all.clone(), [role("r")]);
        assert_eq!(names(&play(&all, Some(&now), &mut turns, 1, 2)), ["c005"]);
        assert!(!turns["c005"].due);
        assert_eq!(names(&play(&all, Some(&now), &mut turns, 1, 3)), ["c000"]);
    }

    #[test]
    fn a_client_seen_with_a_role_that_is_gone_is_asked_at_once() {
        let (all, mut turns) = (clients(3), Turns::new());
        play(&all, None, &mut turns, 3, 0);
        let past = snapshot(clients(3), [role("r"), role("gone")]).observing("c002", &[("gone", "*")]).seal();
        assert_eq!(names(&round(&all, &[role("r")], Some(&past), &turns, Budget::fixed(1))), ["c002"]);
    }

    #[test]
    fn whoever_does_not_answer_goes_to_the_end_and_keeps_its_last_confirmation() {
        let (all, mut turns) = (clients(2), Turns::new());
        play(&all, None, &mut turns, 2, 0);
        let past = snapshot(clients(2), [role("r")]);
        let asked = round(&all, &[role("r")], Some(&past), &turns, Budget::fixed(1));
        let later = when() + chrono::TimeDelta::minutes(1);
        turns.extend(settle(&asked, &[("c000".into(), false)].into(), &turns, later));
        assert_eq!(turns["c000"], Turn { asked: later, confirmed: Some(when()), due: false });
        assert_eq!(names(&round(&all, &[role("r")], Some(&past), &turns, Budget::fixed(1))), ["c001"]);
        assert_eq!(oldest(&asked.members, &turns), Some(when()));
        assert_eq!(oldest(&["x".into()].into(), &turns), None);
    }

    #[test]
    fn clients_that_act_as_a_user_take_no_turns() {
        let all = [client("u").of_type("CODE"), client("c")];
        let round = round(&all, &[], None, &Turns::new(), Budget::fixed(10));
        assert_eq!((names(&round), round.members.len()), (vec!["c"], 1));
    }

    #[test]
    fn the_calls_are_enough_for_a_day_or_it_is_told() {
        // (clients, audits a day) → at most, of which anyway, days.
        for (clients, runs, most, share, days) in [
            (20, 96, 10, 1, 20.0 / 96.0),
            (20, 1, 25, 25, 1.0),
            (768, 96, 10, 10, 77.0 / 96.0),
            (10_000, 96, 40, 40, 250.0 / 96.0),
            (10_000, 1, 40, 40, 250.0),
            (3_000, 96, 40, 40, 75.0 / 96.0),
        ] {
            let budget = Budget::daily(clients, runs);
            assert_eq!(budget, Budget { most, share }, "{clients} {runs}");
            assert_eq!(days_for_all(clients, budget, runs), Some(days), "{clients} {runs}");
        }
        assert_eq!(days_for_all(5, Budget::fixed(0), 96), None);
        assert_eq!(days_for_all(0, Budget::daily(0, 96), 96), None, "there is nobody");
    }

    #[test]
    fn those_that_changed_and_a_share_are_asked_whatever_the_rate_limit() {
        let (mut all, mut turns) = (clients(20), Turns::new());
        play(&all, None, &mut turns, 20, 0);
        let past = snapshot(clients(20), [role("r")]);
        all[7].description = "changed".to_owned();
        let round = round(&all, &[role("r")], Some(&past), &turns, Budget { most: 10, share: 2 });
        assert_eq!((round.ask.len(), round.must), (10, 3));
        assert_eq!(names(&round)[..3], ["c007", "c000", "c001"]);
    }

    proptest! {
        #[test]
        fn never_more_than_the_calls_and_everybody_within_a_rotation(
            count in 1..60_usize, budget in 1..20_u32, asked_before in prop::collection::vec(0..1000_i64, 60),
        ) {
            let all = clients(count);
            let past = snapshot(clients(count), [role("r")]);
            let mut turns: Turns = all.iter().zip(&asked_before).map(|(client, minutes)| {
                let asked = when() - chrono::TimeDelta::minutes(*minutes);
                (client.id.clone(), Turn { asked, confirmed: Some(asked), due: false })
            }).collect();
            let rounds = count.div_ceil(budget as usize);
            for minute in 1..=rounds {
                let round = play(&all, Some(&past), &mut turns, budget, i64::try_from(minute).unwrap());
                prop_assert!(round.ask.len() <= budget as usize);
                let distinct: BTreeSet<_> = round.ask.iter().collect();
                prop_assert_eq!(distinct.len(), round.ask.len());
            }
            prop_assert!(turns.values().all(|turn| turn.confirmed > Some(when())));
        }

        #[test]
        fn the_changed_come_first_and_do_not_starve_the_others(
            count in 1..40_usize, changed in prop::collection::btree_set(0..40_usize, 0..40), budget in 0..20_u32,
        ) {
            let mut all = clients(count);
            let mut turns = Turns::new();
            play(&all, None, &mut turns, 100, 0);
            let past = snapshot(clients(count), [role("r")]);
            for at in changed.iter().filter(|at| **at < count) {
                all[*at].description = "changed".to_owned();
            }
            let round = round(&all, &[role("r")], Some(&past), &turns, Budget::fixed(budget));
            let calls = budget as usize;
            let due = round.due.len();
            let first = round.ask.iter().take_while(|id| round.due.contains(*id)).count();
            prop_assert_eq!(first, round.ask.iter().filter(|id| round.due.contains(*id)).count(), "they are in front");
            prop_assert_eq!(round.ask.len(), calls.min(count));
            prop_assert_eq!(first, due.min(calls - (count - due).min(calls / KEPT_ONE_IN)));
        }
    }
}
