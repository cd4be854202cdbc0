//! The conversation with the platform about one client: its token, what the token tells, its probes one by one.
//!
//! Enters: a [`Prepared`] client. Leaves: observations in the record and in the report. Must never: make more requests
//! than the client's budget, go on when it is told to stop, or let an observation wait for the next one to be recorded.

use std::{collections::VecDeque, time::Duration};

use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{ClientNote, Clock, Error, Inspector, Problem, Report, prepare::Prepared};
use crate::{
    collect::probe::{NoToken, ProbeToken, Prober},
    config::{self, Credential},
    domain::{
        finding::ClientRef,
        inventory::ObjectCounts,
        probe::{
            Answer, Class, Expectation, Held, Judgement, Observation, Verdict, judge, judge_empty,
            plan::{Action, Planned},
            token::{self, TokenCheck, TokenNote},
        },
    },
};

/// The whole of one client, whatever hangs.
const CLIENT_LIMIT: Duration = Duration::from_mins(5);
/// One probe, the wait for the client's rate limit included.
const PROBE_LIMIT: Duration = Duration::from_secs(30);

/// The code of a token that is not the client's. (A word of ours: there was no answer.)
const WRONG_CLIENT: &str = "token_of_another_client";

/// One client's conversation.
pub(super) struct Dialogue<'a> {
    inspector: &'a Inspector,
    run: &'a str,
    clock: Clock,
    counts: &'a ObjectCounts,
    stop: &'a CancellationToken,
    watch: &'a (dyn Fn(&Observation) + Sync),
    prober: Prober,
    began: Instant,
    /// Requests that may still be made.
    left: u32,
}

impl<'a> Dialogue<'a> {
    /// Connects to nothing yet.
    pub(super) fn begin(
        inspector: &'a Inspector,
        run: &'a str,
        clock: Clock,
        counts: &'a ObjectCounts,
        stop: &'a CancellationToken,
        watch: &'a (dyn Fn(&Observation) + Sync),
    ) -> Result<Self, Error> {
        let prober = Prober::new(&inspector.org, inspector.metrics.clone())?;
        Ok(Self { inspector, run, clock, counts, stop, watch, prober, began: Instant::now(), left: 0 })
    }

    /// Holds it. Only the record's trouble is an error; the client's own is in the report.
    pub(super) async fn hold(mut self, one: Prepared, report: &mut Report) -> Result<(), Error> {
        self.left = one.budget;
        if let Some(why) = self.interrupted().await {
            for planned in &one.planned {
                self.not_sent(&one, planned, why.clone(), report).await?;
            }
            return Ok(());
        }
        match self.token(&one).await {
            Ok(token) => {
                self.note_token(&one, &token, report).await?;
                self.probe(&one, token, report).await
            }
            Err(why) => {
                let client = one.reference();
                let state = match one.client.state.as_str() {
                    "active" => String::new(),
                    state => format!(" Its record says that it is {state}."),
                };
                let detail = format!("{} ({}) {}.{state}", client.name, client.id, why.detail);
                warn!(client = %client.id, "not probed: {detail}");
                report.problems.push(Problem { client: client.name, detail });
                let answer = Answer { status: None, code: why.code, ..Answer::default() };
                for planned in &one.planned {
                    self.settle(&one, planned, false, &answer, report).await?;
                }
                Ok(())
            }
        }
    }

    /// The client's token, and nobody else's.
    async fn token(&mut self, one: &Prepared) -> Result<ProbeToken, NoToken> {
        match &one.credential {
            Credential::Secret(secret) => {
                self.left = self.left.saturating_sub(1);
                self.prober.sign_in(one.client.id.as_str(), secret, &[]).await
            }
            Credential::TokenFile(file) => {
                let ours = |code: &str, detail| NoToken { status: None, code: Some(code.to_owned()), detail };
                let value = config::read_again(file)
                    .map_err(|why| ours("no_token_file", format!("has no token: token_file {why}")))?;
                let token = ProbeToken::kept(&value);
                self.left = self.left.saturating_sub(1);
                let owner = self.prober.owner(&token).await;
                let status = owner.as_ref().map_or_else(|why| why.status, |_| Some(200));
                if let Err(error) = self.note_sent(one, "GET /api/v2/tokens/me", status).await {
                    return Err(ours(
                        "storage",
                        format!("was asked for, and that could not be recorded: {error}"),
                    ));
                }
                match owner? {
                    owner if owner == one.client.id.as_str() => Ok(token),
                    owner => Err(ours(
                        WRONG_CLIENT,
                        format!(
                            "has the token of another client in its token_file ({owner}): nothing was probed with it; \
                             put this client's token there"
                        ),
                    )),
                }
            }
        }
    }

    /// What the token tells, and what asking for scopes comes to.
    async fn note_token(
        &mut self,
        one: &Prepared,
        plain: &ProbeToken,
        report: &mut Report,
    ) -> Result<(), Error> {
        let header = "Authorization: Bearer ".len() + plain.bytes;
        let size = format!(" It has {} bytes, its header {header}.", plain.bytes);
        let lifetime = match &one.credential {
            Credential::Secret(_) => token::issued(plain.lifetime_s, one.client.token_lifetime_s),
            Credential::TokenFile(_) => {
                "The token is kept by somebody else, so its lifetime is not known.".to_owned()
            }
        };
        let plain_note = TokenNote {
            check: TokenCheck::Plain,
            operation: None,
            status: Some(200),
            code: None,
            scopes: Vec::new(),
            lifetime_s: plain.lifetime_s,
            token_bytes: Some(plain.bytes),
            explanation: lifetime + &size,
        };
        self.note(one, plain_note, report).await?;
        let Credential::Secret(secret) = &one.credential else { return Ok(()) };
        let id = one.client.id.as_str();
        let (within, outside) = &one.scopes;
        let outside: Vec<String> = outside.iter().cloned().collect();
        let mut narrow = None;
        for (check, scopes) in [(TokenCheck::ScopesWithin, within), (TokenCheck::ScopesOutside, &outside)] {
            if scopes.is_empty() || self.interrupted().await.is_some() || !self.take() {
                continue;
            }
            let answer = self.prober.sign_in(id, secret, scopes).await;
            let (status, code, lifetime_s, token_bytes) = match &answer {
                Ok(token) => (Some(200), None, token.lifetime_s, Some(token.bytes)),
                Err(why) => (why.status, why.code.clone(), None, None),
            };
            let scoped = TokenNote {
                check,
                operation: None,
                status,
                explanation: token::scoped(check, status, code.as_deref()),
                code,
                scopes: scopes.clone(),
                lifetime_s,
                token_bytes,
            };
            self.note(one, scoped, report).await?;
            if check == TokenCheck::ScopesWithin {
                narrow = answer.ok();
            }
        }
        if let (Some(narrow), Some(outside)) = (narrow, &one.outside)
            && let Action::Send { path, safe } = &outside.action
        {
            let mut answers = Vec::new();
            for token in [plain, &narrow] {
                if self.interrupted().await.is_some() || !self.take() {
                    return Ok(());
                }
                let answer = self.ask(token, outside, path, safe.class).await;
                self.note_sent(one, &outside.operation, answer.status).await?;
                answers.push(answer);
            }
            if let [whole, narrow] = &answers[..] {
                let narrowed = TokenNote {
                    check: TokenCheck::Narrowed,
                    operation: Some(outside.operation.clone()),
                    status: narrow.status,
                    explanation: format!(
                        "{}: {}",
                        outside.operation,
                        token::narrowed(whole.status, narrow.status, narrow.code.as_deref())
                    ),
                    code: narrow.code.clone(),
                    scopes: within.clone(),
                    lifetime_s: None,
                    token_bytes: None,
                };
                self.note(one, narrowed, report).await?;
            }
        }
        Ok(())
    }

    async fn note(&self, one: &Prepared, note: TokenNote, report: &mut Report) -> Result<(), Error> {
        let Inspector { org, store, .. } = self.inspector;
        store.record_token_note(&org.name, &one.client.id, &note, self.clock.now()).await?;
        report.tokens.push(ClientNote { client: one.reference(), note });
        Ok(())
    }

    /// Every probe in the plan's order; those that a passing trouble spoiled once more at the end.
    async fn probe(
        &mut self,
        one: &Prepared,
        mut token: ProbeToken,
        report: &mut Report,
    ) -> Result<(), Error> {
        // Beside each the answer to its first attempt, once there was one that may have been a passing trouble.
        let mut queue: VecDeque<(&Planned, Option<Answer>)> =
            one.planned.iter().map(|planned| (planned, None)).collect();
        let mut renewed = false;
        let mut throttled = false;
        while let Some((planned, first)) = queue.pop_front() {
            let Action::Send { path, safe } = &planned.action else {
                self.held_back(one, planned, report).await?;
                continue;
            };
            let obstacle = match self.interrupted().await {
                Some(why) => Some(why),
                None if throttled => {
                    Some("the client's rate limit is used up; it is tried again later".to_owned())
                }
                None if Self::is_blocked_now(planned, report) => {
                    Some("it was not refused in a negative test of this run".to_owned())
                }
                None if !self.take() => Some("the budget of this run is used up (probe.budget)".to_owned()),
                None => None,
            };
            match (obstacle, &first) {
                (Some(_), Some(first)) => {
                    self.settle(one, planned, true, first, report).await?;
                    continue;
                }
                (Some(why), None) => {
                    self.not_sent(one, planned, why, report).await?;
                    continue;
                }
                // What is settled below is the second request; this is the note of the first.
                (None, Some(first)) => self.note_sent(one, &planned.operation, first.status).await?,
                (None, None) => {}
            }
            let answer = self.ask(&token, planned, path, safe.class).await;
            throttled |= answer.status == Some(429);
            // A refused token had no effect. What else went wrong may have come after one, so only readings are repeated.
            let may_pass = answer.status == Some(401)
                || (safe.class.is_read()
                    && matches!(answer.status, None | Some(408 | 500 | 502 | 503 | 504)));
            if may_pass && first.is_none() && self.left > 0 {
                if answer.status == Some(401)
                    && !std::mem::replace(&mut renewed, true)
                    && let Credential::Secret(secret) = &one.credential
                    && self.take()
                    && let Ok(fresh) = self.prober.sign_in(one.client.id.as_str(), secret, &[]).await
                {
                    token = fresh;
                }
                queue.push_back((planned, Some(answer)));
                continue;
            }
            self.settle(one, planned, true, &answer, report).await?;
        }
        Ok(())
    }

    async fn ask(&self, token: &ProbeToken, planned: &Planned, path: &str, class: Class) -> Answer {
        timeout(PROBE_LIMIT, self.prober.ask(token, planned.method(), path, class))
            .await
            .unwrap_or_else(|_| Answer { code: Some("timeout".to_owned()), ..Answer::default() })
    }

    /// An operation that another client's negative test got through in this very run.
    fn is_blocked_now(planned: &Planned, report: &Report) -> bool {
        planned.expectation == Expectation::Deny
            && report.observations.iter().any(|earlier| {
                earlier.operation == planned.operation && earlier.must_not_be_repeated().is_some()
            })
    }

    /// Why nothing more may be sent now.
    async fn interrupted(&self) -> Option<String> {
        if self.stop.is_cancelled() {
            return Some("the run was told to stop".to_owned());
        }
        if self.inspector.is_stopped().await {
            return Some(format!(
                "probes are stopped: {} exists",
                self.inspector.settings.stop_file.display()
            ));
        }
        (self.began.elapsed() > CLIENT_LIMIT)
            .then(|| format!("this client took longer than {}", humantime::format_duration(CLIENT_LIMIT)))
    }

    /// Takes one request of the budget, if there is one.
    fn take(&mut self) -> bool {
        let has = self.left > 0;
        self.left = self.left.saturating_sub(1);
        has
    }

    async fn note_sent(&self, one: &Prepared, operation: &str, status: Option<u16>) -> Result<(), Error> {
        let Inspector { org, store, .. } = self.inspector;
        Ok(store.note_sent(&org.name, &one.client.id, operation, status, self.clock.now()).await?)
    }

    async fn held_back(&self, one: &Prepared, planned: &Planned, report: &mut Report) -> Result<(), Error> {
        let Action::Hold(why) = &planned.action else { return Ok(()) };
        self.not_sent(one, planned, why.clone(), report).await
    }

    async fn not_sent(
        &self,
        one: &Prepared,
        planned: &Planned,
        why: String,
        report: &mut Report,
    ) -> Result<(), Error> {
        let judged = Judgement {
            verdict: Verdict::NotSent,
            severity: None,
            mismatch: false,
            unexplained: false,
            explanation: format!("Not sent: {why}."),
        };
        self.keep(one, planned, false, &Answer::default(), judged, report).await
    }

    async fn settle(
        &self,
        one: &Prepared,
        planned: &Planned,
        sent: bool,
        answer: &Answer,
        report: &mut Report,
    ) -> Result<(), Error> {
        let Action::Send { safe, .. } = &planned.action else {
            return self.held_back(one, planned, report).await;
        };
        let held = |name: &str| one.held.get(name).copied().unwrap_or(Held::Nowhere);
        let judged = judge(planned.expectation, planned.predicted, safe.class, &planned.needs, &held, answer);
        self.keep(one, planned, sent, answer, judged, report).await
    }

    async fn keep(
        &self,
        one: &Prepared,
        planned: &Planned,
        sent: bool,
        answer: &Answer,
        judged: Judgement,
        report: &mut Report,
    ) -> Result<(), Error> {
        let is_empty = answer.empty == Some(true) && planned.expectation == Expectation::Allow;
        let silence = is_empty.then(|| match one.lists.get(&planned.operation) {
            Some((kind, granted)) => judge_empty(Some(kind), self.counts, granted, &one.divisions),
            None => judge_empty(None, self.counts, &std::collections::BTreeSet::new(), &one.divisions),
        });
        let explanation = match silence {
            Some(silence) => format!("{} {}", judged.explanation, silence.words()),
            None => judged.explanation,
        };
        let observation = Observation {
            org: self.inspector.org.name.clone(),
            client: ClientRef { id: one.client.id.clone(), name: one.client.name.clone() },
            operation: planned.operation.clone(),
            expectation: planned.expectation,
            origin: planned.origin,
            sent,
            status: answer.status,
            code: answer.code.clone(),
            verdict: judged.verdict,
            permissions: answer.permissions.clone(),
            predicted: planned.predicted,
            safe_because: planned.safe_because().map(str::to_owned),
            severity: judged.severity,
            mismatch: judged.mismatch,
            unexplained: judged.unexplained,
            silence,
            explanation,
            at: self.clock.now(),
        };
        self.inspector.store.record_probe(self.run, &observation).await?;
        self.inspector.count(&observation);
        (self.watch)(&observation);
        report.observations.push(observation);
        Ok(())
    }
}
