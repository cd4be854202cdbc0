//! What an audit concludes from what it read: digest, access, drift, checks, in that order.
//!
//! Enters: the past, the facts, and `at`. Leaves: an [`Analysis`], from which the record, the messages, the gauges and
//! the report are made. Must never: do I/O or read a clock.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, Utc};

use super::{Report, Timings, inquiry::Answers};
use crate::{
    domain::{
        ClientId, Gap,
        access::{Access, acts_by_roles},
        checks::{
            self, CHECKS,
            custom::{self, Custom, CustomCheck},
        },
        contract::{Contract, Declared, companion::Companions},
        decision::{self, Ledger, Settled, revert},
        drift,
        event::Event,
        evidence::{self, Hash, Link},
        facts::{Facts, Reading},
        finding::{self, Finding, Lifecycle, Status},
        message::{Letterhead, MessageKind},
        observe::{self, Before, Observed},
        probe::{Sent, Standing},
        rotation::{self, Round, Turns},
        snapshot::{Change, Settings, Snapshot},
        telling::{self, Audience, Telling, Told},
        usage::{Tally, Usage},
    },
    store::{Book, Decided, History, Observations, Record, entry_hash, gaps_body, recorded_digest},
    telemetry::{AuditGauges, FindingGauges},
};

/// Everything that a conclusion rests on.
pub(super) struct Input {
    pub(super) org: String,
    pub(super) audit: String,
    pub(super) settings: Settings,
    pub(super) contracts: Arc<[Contract]>,
    pub(super) companions: Arc<Companions>,
    pub(super) checks: Arc<[CustomCheck]>,
    pub(super) check_budget: custom::Budget,
    /// How long the audit has been going on, for what has a budget of time.
    pub(super) elapsed: Box<dyn Fn() -> Duration + Send>,
    pub(super) history: History,
    pub(super) facts: Facts,
    pub(super) probes: Vec<Standing>,
    /// What was sent as clients to probe them.
    pub(super) sent: Vec<Sent>,
    /// Whose turn it was to be asked about.
    pub(super) round: Round,
    pub(super) looks: Looks,
    pub(super) at: DateTime<Utc>,
}

/// What this organisation's audits look at beside its configuration.
#[derive(Clone, Copy)]
pub(super) struct Looks {
    /// Grants from the clients' own side.
    pub(super) grants: bool,
    /// What clients called.
    pub(super) usage: bool,
}

/// What an audit concluded, before it is written.
pub(super) struct Analysis {
    /// The chain hash after this audit.
    pub(super) chain: Hash,
    /// What the audit before saw; `None`: there was none.
    before: Option<Snapshot>,
    was_failing: bool,
    /// What was told before.
    told: Told,
    observed: Observed,
    changes: Vec<Change>,
    pub(super) events: Vec<Event>,
    life: Lifecycle,
    /// What became of people's decisions, and what is told.
    settled: Settled,
    /// The last decision that was known.
    decided: i64,
    /// Findings that end: told as resolved, or only dropped.
    closed: Vec<Arc<Finding>>,
    configuration: Hash,
    recorded: Hash,
    /// Turns that are not what they were.
    turned: Turns,
    /// Clients that take no turns any more.
    gone: Vec<ClientId>,
    /// What clients called, if it was counted now.
    counted: Option<Tally>,
    /// Who made changes; filled in after the analysis.
    pub(super) answers: Answers,
    seen: Seen,
}

pub(super) fn conclude(input: Input) -> Analysis {
    let Input {
        org,
        audit,
        settings,
        contracts,
        companions,
        checks: own_checks,
        check_budget,
        elapsed,
        history,
        mut facts,
        probes,
        sent,
        round,
        looks,
        at,
    } = input;
    let past = history.past;
    let turned = rotation::settle(&round, &facts.grants.asked(), &history.turns, at);
    let counted = take_count(&mut facts);
    let before = past.as_ref().map(|past| Before {
        at: past.at,
        snapshot: &past.snapshot,
        gaps: &past.gaps,
        pending_removals: &history.pending_removals,
    });
    let observed = observe::snapshot(facts, settings, &contracts, before);
    let snapshot = &observed.snapshot;
    let old: Option<&Snapshot> = past.as_ref().map(|past| &past.snapshot);
    let changes = snapshot.changes_since(old);

    let access = Access::new(snapshot);
    let mut events = old.map(|old| drift::between(&org, &audit, old, snapshot)).unwrap_or_default();
    drift::date(&mut events, |client| {
        let (before, now) = (history.turns.get(client)?.confirmed?, turned.get(client)?.confirmed?);
        Some(drift::Window { from: before, to: now })
    });

    let mut turns = history.turns;
    turns.extend(turned.iter().map(|(id, turn)| (id.clone(), *turn)));
    let gone: Vec<ClientId> = turns.keys().filter(|id| !round.members.contains(*id)).cloned().collect();
    turns.retain(|id, _| round.members.contains(id));
    let usage =
        counted.clone().or(history.usage).map(|tally| Usage::join(&tally.without(&sent), access.operations));
    let declared = declared(&access);
    let context = checks::Context {
        org: &org,
        access: &access,
        gaps: &observed.gaps,
        companions: &companions,
        probes: Some(&probes),
        object_counts: observed.object_counts.as_ref(),
        now: at,
        turns: (looks.grants || !turns.is_empty()).then_some(&turns),
        usage: usage.as_ref(),
        counts_usage: looks.usage,
        declared: (!declared.is_empty()).then_some(&declared),
        custom: Some(Custom { checks: &own_checks, budget: check_budget, elapsed: &*elapsed }),
    };
    let found = checks::evaluate(&context);
    let seen = |client: &_| snapshot.clients.contains_key(client);
    let mut life = live(history.findings, found, &own_checks, &seen, at);
    let Book { ledger, unsealed, last } = history.book;
    let settled = decision::settle(ledger, &mut life, &|cause| revert::stands(cause, snapshot), at);
    let closed: Vec<Arc<Finding>> = life.resolved.iter().chain(&life.dropped).cloned().collect();

    let configuration = snapshot.digest();
    let recorded = recorded_digest(&events, &life.opened, &life.updated, &closed);
    let sealed: Vec<Hash> = unsealed.into_iter().chain(settled.endings.iter().map(entry_hash)).collect();
    let recorded = evidence::with_decisions(recorded, &sealed);
    let link = Link {
        org: &org,
        audit: &audit,
        at,
        complete: observed.gaps.is_empty(),
        gaps: &gaps_body(&observed.gaps),
        configuration,
        recorded,
    };
    let chain = evidence::chain(past.as_ref().map_or(Hash::GENESIS, |past| past.chain), &link);
    Analysis {
        chain,
        before: past.map(|past| past.snapshot),
        was_failing: history.failing,
        told: history.told,
        changes,
        events,
        life,
        settled,
        decided: last,
        closed,
        configuration,
        recorded,
        seen: Seen {
            grants_confirmed: rotation::oldest(&round.members, &turns),
            usage_until: usage.as_ref().map(|usage| usage.window.to),
        },
        turned,
        gone,
        counted,
        answers: Answers::default(),
        observed,
    }
}

/// Takes out what clients called, if it was counted now.
fn take_count(facts: &mut Facts) -> Option<Tally> {
    match std::mem::replace(&mut facts.usage, Reading::NotDue) {
        Reading::Seen(tally) => Some(tally),
        other => {
            facts.usage = other;
            None
        }
    }
}

/// The operations that contracts declare, by client.
fn declared(access: &Access<'_>) -> BTreeMap<ClientId, BTreeSet<usize>> {
    let declared = access.snapshot.contracts.values().filter_map(|contract| {
        let client = contract.pinned.clone()?;
        Some((client, Declared::by_contract(access, contract).calls))
    });
    declared.collect()
}

/// Gives what was open and what is found their place in time.
fn live(
    before: Vec<Finding>,
    found: impl Iterator<Item = Vec<Finding>>,
    own: &[CustomCheck],
    seen: &dyn Fn(&ClientId) -> bool,
    at: DateTime<Utc>,
) -> Lifecycle {
    let (asked, unasked) = still_asked(before, own);
    let mut life = finding::lifecycle(asked, found, seen, at);
    life.dropped.extend(unasked);
    life.dropped.sort_by(|one, other| one.uid.cmp(&other.uid));
    life
}

/// Findings of checks that are asked, and those of checks that left the configuration: nobody saw them pass, so they are
/// not resolved; they only end, and their alerts are closed with that reason.
fn still_asked(findings: Vec<Finding>, own: &[CustomCheck]) -> (Vec<Finding>, Vec<Arc<Finding>>) {
    let ids: BTreeSet<&str> =
        CHECKS.iter().map(|check| check.id).chain(own.iter().map(|check| check.words.id.as_str())).collect();
    let (asked, unasked): (Vec<_>, Vec<_>) =
        findings.into_iter().partition(|finding| ids.contains(finding.check.as_str()));
    (asked, unasked.into_iter().map(Arc::new).collect())
}

impl Analysis {
    /// What is to be told, and to whom.
    pub(super) fn tell(&self, head: Letterhead<'_>, audience: &Audience) -> Telling {
        let concluded = telling::Concluded {
            head,
            was_failing: self.was_failing,
            before: self.before.as_ref(),
            snapshot: &self.observed.snapshot,
            gaps: &self.observed.gaps,
            events: &self.events,
            findings: &[
                (MessageKind::FindingOpened, &self.settled.opened),
                (MessageKind::FindingResolved, &self.settled.resolved),
            ],
            reopened: &self.settled.reopened,
            unasked: &self.settled.unasked,
            late: &self.answers.late,
            open: &self.life.open,
            ledger: &self.settled.ledger,
        };
        telling::tell(audience, &concluded, &self.told)
    }

    /// Uids of findings whose alert opens for the first time, as far as is known.
    pub(super) fn opened(&self) -> Vec<&str> {
        self.settled.opened.iter().map(|finding| finding.uid.as_str()).collect()
    }

    /// Which of those failed in an earlier life.
    pub(super) fn failed_before(&mut self, uids: &BTreeSet<String>) {
        self.settled.failed_before(uids);
    }

    /// What is to be written.
    pub(super) fn record<'a>(
        &'a self,
        org: &'a str,
        audit: &'a str,
        started: DateTime<Utc>,
        at: DateTime<Utc>,
        api_calls: u32,
        telling: &'a Telling,
    ) -> Record<'a> {
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Record {
            org,
            audit,
            started,
            at,
            complete: self.observed.gaps.is_empty(),
            gaps: &self.observed.gaps,
            changes: &self.changes,
            configuration: self.configuration,
            recorded: self.recorded,
            chain: self.chain,
            events: &self.events,
            opened: &self.life.opened,
            updated: &self.life.updated,
            closed: &self.closed,
            messages: &telling.messages,
            object_counts: self.observed.object_counts.as_ref(),
            pending_removals: &self.observed.pending_removals,
            observations: Observations {
                turns: &self.turned,
                gone: &self.gone,
                usage: self.counted.as_ref(),
                attributed: Some(&self.answers.attributed),
            },
            noted: &telling.noted,
            decided: Decided { last: self.decided, made: &self.settled.endings },
            api_calls,
            clients: count(self.observed.snapshot.clients.len()),
            roles: count(self.observed.snapshot.roles.len()),
        }
    }

    /// The configuration that was seen.
    pub(super) fn snapshot(&self) -> &Snapshot {
        &self.observed.snapshot
    }

    /// What the metrics show; how long it took is for the caller to add.
    pub(super) fn gauges(&self, at: DateTime<Utc>) -> AuditGauges {
        let open = self.life.open.iter().map(Arc::as_ref);
        let ledger = &self.settled.ledger;
        gauges(&self.observed.snapshot, shown(open, ledger, at), &self.observed.gaps, self.seen, at)
    }

    pub(super) fn into_report(
        self,
        org: String,
        audit: String,
        at: DateTime<Utc>,
        api_calls: u32,
        timings_ms: Timings,
    ) -> Report {
        Report {
            org,
            audit,
            at,
            complete: self.observed.gaps.is_empty(),
            gaps: self.observed.gaps,
            api_calls,
            clients: self.observed.snapshot.clients.len(),
            baseline: self.before.is_none(),
            chain_head: self.chain,
            events: self.events,
            findings: self.life.open,
            resolved: self.life.resolved,
            timings_ms,
        }
    }
}

/// How old what was observed beside the configuration is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    /// When the client that has waited longest was last seen with its grants; `None`: some never were.
    pub grants_confirmed: Option<DateTime<Utc>>,
    /// Up to when clients' calls are counted.
    pub usage_until: Option<DateTime<Utc>>,
}

impl Seen {
    /// As the record has it.
    pub fn of(history: &History) -> Self {
        let clients = history.past.iter().flat_map(|past| past.snapshot.clients.values());
        let members =
            clients.filter(|client| acts_by_roles(client)).map(|client| client.id.clone()).collect();
        Self {
            grants_confirmed: rotation::oldest(&members, &history.turns),
            usage_until: history.usage.as_ref().map(|tally| tally.window.to),
        }
    }
}

/// What the metrics show of open findings, which are marked by what the ledger says.
pub fn shown<'a>(
    findings: impl IntoIterator<Item = &'a Finding>,
    ledger: &Ledger,
    now: DateTime<Utc>,
) -> FindingGauges {
    let mut gauges = FindingGauges::default();
    for finding in findings.into_iter().filter(|finding| finding.status == Status::Fail) {
        if finding.is_due() {
            *gauges.due.entry((finding.check.clone(), finding.severity)).or_default() += 1;
        }
        gauges.muted += i64::from(finding.muted);
        gauges.approved += i64::from(finding.marks.approved);
        gauges.acknowledged += i64::from(finding.marks.acknowledged);
    }
    gauges.expiring = i64::try_from(ledger.expiring(now)).unwrap_or(i64::MAX);
    gauges
}

/// What the metrics show of a recorded audit, fresh or restored from the store. `duration_s` is left at 0.
pub fn gauges(
    snapshot: &Snapshot,
    findings: FindingGauges,
    gaps: &[Gap],
    seen: Seen,
    at: DateTime<Utc>,
) -> AuditGauges {
    let mut clients = BTreeMap::new();
    for client in snapshot.clients.values() {
        *clients.entry((client.grant_type.label(), client.state.label())).or_default() += 1;
    }
    let mut missing = BTreeMap::new();
    for gap in gaps {
        *missing.entry(gap.fact).or_default() += 1;
    }
    let Seen { grants_confirmed, usage_until } = seen;
    let (finished_at, duration_s, gaps) = (at, 0.0, missing);
    AuditGauges { finished_at, duration_s, clients, findings, gaps, grants_confirmed, usage_until }
}
