//! Access tokens and how often each was used in its current minute.
//!
//! Enters: clients that proved who they are, and `now`. Leaves: opaque random tokens. A token is no part of the
//! organisation: it is not in the digest and does not follow from the seed.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

/// More tokens than this are never kept: the expired go first, then the oldest.
const MOST_TOKENS: usize = 20_000;
const WINDOW: Duration = Duration::from_mins(1);

/// What a token stands for.
#[derive(Debug)]
pub(super) struct Token {
    /// The client's id.
    pub(super) client: String,
    /// The scopes that were asked for, if any were: never more than the client's own.
    pub(super) scopes: Option<Vec<String>>,
    expires: Instant,
    window_started: Instant,
    used: u32,
}

/// The state of a token's current minute, for the headers of every answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) count: u32,
    /// Seconds until the count starts again.
    pub(super) reset: u64,
}

/// Every token that may still be valid.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    by_value: HashMap<String, Token>,
    oldest_first: VecDeque<String>,
}

impl Tokens {
    /// Issues a token.
    pub(super) fn issue(
        &mut self,
        client: &str,
        scopes: Option<Vec<String>>,
        lifetime: Duration,
        now: Instant,
    ) -> String {
        if self.by_value.len() >= MOST_TOKENS {
            self.by_value.retain(|_, token| token.expires > now);
            self.oldest_first.retain(|value| self.by_value.contains_key(value));
        }
        while self.by_value.len() >= MOST_TOKENS {
            let Some(oldest) = self.oldest_first.pop_front() else { break };
            self.by_value.remove(&oldest);
        }
        let value = hex::encode(rand::random::<[u8; 32]>());
        let client = client.to_owned();
        let token = Token { client, scopes, expires: now + lifetime, window_started: now, used: 0 };
        self.by_value.insert(value.clone(), token);
        self.oldest_first.push_back(value.clone());
        value
    }

    /// The token, unless it is unknown, revoked or expired.
    pub(super) fn find(&self, value: &str, now: Instant) -> Option<&Token> {
        self.by_value.get(value).filter(|token| token.expires > now)
    }

    /// Counts one use in the current minute.
    pub(super) fn count(&mut self, value: &str, now: Instant) -> Option<Usage> {
        let token = self.by_value.get_mut(value)?;
        if now.duration_since(token.window_started) >= WINDOW {
            token.window_started = now;
            token.used = 0;
        }
        token.used = token.used.saturating_add(1);
        let left = WINDOW.saturating_sub(now.duration_since(token.window_started));
        Some(Usage { count: token.used, reset: left.as_secs() + 1 })
    }

    pub(super) fn revoke(&mut self, value: &str) {
        self.by_value.remove(value);
        self.oldest_first.retain(|known| known != value);
    }

    /// Revokes every token of a client.
    pub(super) fn revoke_all_of(&mut self, client: &str) {
        self.by_value.retain(|_, token| token.client != client);
        self.oldest_first.retain(|value| self.by_value.contains_key(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    #[test]
    fn a_token_is_found_until_it_expires_or_is_revoked() {
        let (mut tokens, now) = (Tokens::default(), Instant::now());
        let first = tokens.issue("a", None, HOUR, now);
        let second = tokens.issue("a", None, HOUR, now);
        assert_ne!(first, second);
        assert!(tokens.find(&first, now + Duration::from_secs(3599)).is_some());
        assert!(tokens.find(&first, now + HOUR).is_none());
        tokens.revoke(&first);
        assert!(tokens.find(&first, now).is_none());
        tokens.revoke_all_of("a");
        assert!(tokens.find(&second, now).is_none());
        assert!(tokens.oldest_first.is_empty());
    }

    #[test]
    fn uses_are_counted_by_the_minute() {
        let (mut tokens, now) = (Tokens::default(), Instant::now());
        let token = tokens.issue("a", None, HOUR, now);
        assert_eq!(tokens.count(&token, now), Some(Usage { count: 1, reset: 61 }));
        let later = now + Duration::from_secs(50);
        assert_eq!(tokens.count(&token, later), Some(Usage { count: 2, reset: 11 }));
        assert_eq!(tokens.count(&token, now + WINDOW), Some(Usage { count: 1, reset: 61 }));
        assert_eq!(tokens.count("unknown", now), None);
    }

    #[test]
    fn the_table_is_bounded_and_the_expired_go_first() {
        let (mut tokens, now) = (Tokens::default(), Instant::now());
        let lasting = tokens.issue("a", None, HOUR, now);
        for _ in 1..MOST_TOKENS {
            tokens.issue("b", None, Duration::from_secs(1), now);
        }
        tokens.issue("c", None, HOUR, now + Duration::from_secs(2));
        assert_eq!(tokens.by_value.len(), 2);
        for _ in 0..MOST_TOKENS {
            tokens.issue("d", None, HOUR, now);
        }
        assert_eq!(tokens.by_value.len(), MOST_TOKENS);
        assert_eq!(tokens.oldest_first.len(), MOST_TOKENS);
        assert!(tokens.find(&lasting, now).is_none());
    }
}
