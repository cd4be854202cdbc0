//! How fast the platform may be called, learnt from its own answers.
//!
//! Enters: the `inin-ratelimit-*` and `Retry-After` headers. Leaves: waits. Must never: let the auditor use more
//! than 60 % of what the platform allows its token. The rest is for whoever shares the limit.

use std::{
    num::NonZeroU32,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use chrono::DateTime;
use governor::{
    Quota, RateLimiter,
    clock::Clock,
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::{InMemoryState, NotKeyed},
};
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use tokio::time::{Instant, sleep};

/// Assumed until an answer tells: the documented limit of a client-credentials token.
const ASSUMED_PER_MINUTE: u32 = 300;
/// A window that claims to last longer is not waited out.
const LONGEST_WINDOW: Duration = Duration::from_mins(2);

/// The pace of one token.
#[derive(Debug)]
pub(super) struct Pace(Mutex<State>);

#[derive(Debug)]
struct State {
    allowed: u32,
    limiter: Limiter,
    /// Others have used up the share: nothing is sent before.
    closed_until: Option<Instant>,
    /// A place was taken for a call that is still to come.
    reserved: bool,
}

type Limiter = RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<Nanos>>;

impl Pace {
    pub(super) fn new() -> Self {
        let limiter = limiter(ASSUMED_PER_MINUTE);
        Self(Mutex::new(State { allowed: ASSUMED_PER_MINUTE, limiter, closed_until: None, reserved: false }))
    }

    /// Waits until one more call fits.
    pub(super) async fn wait(&self) {
        while let Some(pause) = self.take() {
            sleep(pause).await;
        }
    }

    /// Takes a place for the next call, if one is free now.
    pub(super) fn reserve(&self) -> bool {
        let is_free = self.take().is_none();
        if is_free {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).reserved = true;
        }
        is_free
    }

    /// Takes a place, or says how long until the next try.
    fn take(&self) -> Option<Duration> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut state.reserved) {
            return None;
        }
        let now = Instant::now();
        if let Some(until) = state.closed_until.filter(|until| *until > now) {
            return Some(until - now);
        }
        state.closed_until = None;
        let clock = state.limiter.clock().clone();
        state.limiter.check().err().map(|not_until| not_until.wait_time_from(clock.now()))
    }

    /// Learns from an answer's headers.
    pub(super) fn heed(&self, headers: &HeaderMap) {
        let Some(allowed) = number(headers, "inin-ratelimit-allowed").filter(|&allowed| allowed > 0) else {
            return;
        };
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if allowed != state.allowed {
            state.allowed = allowed;
            state.limiter = limiter(allowed);
            // A fresh limiter would let a whole burst through: a header that flips must not buy calls.
            let _ = state.limiter.check_n(burst(allowed));
        }
        let used = number(headers, "inin-ratelimit-count").unwrap_or_default();
        if let (true, Some(reset)) = (used >= share(allowed), number(headers, "inin-ratelimit-reset")) {
            let rest = Duration::from_secs(reset.into()).min(LONGEST_WINDOW);
            state.closed_until = Some(Instant::now() + rest);
        }
    }
}

/// Calls a minute that are ours.
fn share(allowed: u32) -> u32 {
    u32::try_from(u64::from(allowed) * 6 / 10).unwrap_or(u32::MAX).max(1)
}

/// Calls at once: enough for an audit of an ordinary organisation not to wait at all.
fn burst(allowed: u32) -> NonZeroU32 {
    NonZeroU32::new(share(allowed) / 9).unwrap_or(NonZeroU32::MIN)
}

/// Burst and refill together stay within the share in whatever minute the platform counts.
fn limiter(allowed: u32) -> Limiter {
    let refill = share(allowed).saturating_sub(burst(allowed).get());
    let quota = Quota::per_minute(NonZeroU32::new(refill).unwrap_or(NonZeroU32::MIN));
    RateLimiter::direct_with_clock(quota.allow_burst(burst(allowed)), TokioClock::default())
}

/// The time that `sleep` goes by, so that a limiter and the waits for it cannot disagree.
#[derive(Clone, Debug)]
struct TokioClock(Instant);

impl Default for TokioClock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock for TokioClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.0.elapsed().into()
    }
}

/// How long an answer asks us to wait before the same call: `Retry-After` in seconds or as a date, else until the
/// rate limit's window ends and a second more.
pub(super) fn asked_wait(headers: &HeaderMap) -> Option<Duration> {
    retry_after(headers).or_else(|| {
        let reset = number(headers, "inin-ratelimit-reset")?;
        Some(Duration::from_secs(u64::from(reset) + 1))
    })
}

/// `Retry-After`; a date counts from the answer's own `Date`, so that our clock does not matter.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = DateTime::parse_from_rfc2822(text).ok()?;
    let sent = DateTime::parse_from_rfc2822(headers.get(DATE)?.to_str().ok()?).ok()?;
    Some((until - sent).to_std().unwrap_or_default())
}

fn number(headers: &HeaderMap, name: &str) -> Option<u32> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap()))
            .collect()
    }

    /// The most calls that any window of a minute holds, when `calls` are made as fast as the pace lets them.
    async fn most_in_a_minute(pace: &Pace, calls: usize) -> usize {
        let mut times = Vec::new();
        for _ in 0..calls {
            pace.wait().await;
            times.push(Instant::now());
        }
        let within = |from: usize| {
            times[from..].iter().take_while(|at| **at - times[from] < Duration::from_mins(1)).count()
        };
        (0..times.len()).map(within).max().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn no_minute_holds_more_than_sixty_percent() {
        for allowed in [10_u32, 100, 180, 300, 3_000] {
            let pace = Pace::new();
            pace.heed(&headers(&[("inin-ratelimit-allowed", &allowed.to_string())]));
            let most = most_in_a_minute(&pace, allowed as usize * 2).await;
            assert!(most <= share(allowed) as usize, "{most} calls in a minute of {allowed}");
            assert!(
                most * 10 >= share(allowed) as usize * 8,
                "{most} calls in a minute of {allowed}: too shy"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_ordinary_audit_does_not_wait() {
        let pace = Pace::new();
        let start = Instant::now();
        for _ in 0..10 {
            pace.wait().await;
            pace.heed(&headers(&[("inin-ratelimit-allowed", "300"), ("inin-ratelimit-count", "9")]));
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_flipping_limit_buys_no_calls() {
        let pace = Pace::new();
        let start = Instant::now();
        for call in 0..200_u32 {
            pace.wait().await;
            let allowed = if call % 2 == 0 { "180" } else { "300" };
            pace.heed(&headers(&[("inin-ratelimit-allowed", allowed)]));
        }
        assert!(start.elapsed() >= Duration::from_secs(66), "200 calls took {:?}", start.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_share_used_by_others_closes_the_window() {
        let pace = Pace::new();
        let nearly_full = [
            ("inin-ratelimit-allowed", "300"),
            ("inin-ratelimit-count", "180"),
            ("inin-ratelimit-reset", "42"),
        ];
        pace.heed(&headers(&nearly_full));
        let start = Instant::now();
        pace.wait().await;
        assert!(start.elapsed() >= Duration::from_secs(42));
        assert!(start.elapsed() < Duration::from_secs(43));
    }

    #[test]
    fn the_platforms_wishes_are_read_in_every_form() {
        type Headers = [(&'static str, &'static str)];
        let date = ("date", "Wed, 21 Oct 2026 07:28:00 GMT");
        let cases: [(&Headers, Option<u64>); 8] = [
            (&[("retry-after", "23")], Some(23)),
            (&[("retry-after", "23"), ("inin-ratelimit-reset", "5")], Some(23)),
            (&[("retry-after", "Wed, 21 Oct 2026 07:28:09 GMT"), date], Some(9)),
            (&[("retry-after", "Wed, 21 Oct 2026 07:27:00 GMT"), date], Some(0)),
            (&[("retry-after", "Wed, 21 Oct 2026 07:28:09 GMT")], None),
            (&[("retry-after", "soon"), ("inin-ratelimit-reset", "5")], Some(6)),
            (&[("inin-ratelimit-reset", "61")], Some(62)),
            (&[], None),
        ];
        for (pairs, seconds) in cases {
            assert_eq!(asked_wait(&headers(pairs)), seconds.map(Duration::from_secs), "{pairs:?}");
        }
    }
}
