//! When to try again, and when to give up. Pure.
//!
//! Enters: how often a receiver failed in a row, what it asked for. Leaves: how long it is left alone.
//! Must never: wait longer than a receiver that came back should be kept waiting (15 minutes), unless it asked.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

/// A message that could not be delivered for this long is dead.
pub const MAX_AGE: Duration = Duration::from_hours(7 * 24);

/// The longest that a receiver's `Retry-After` is honoured.
const MAX_RETRY_AFTER: Duration = Duration::from_hours(1);

/// Rests by number of failures in a row; the last one repeats.
const WAITS: [Duration; 6] = [
    Duration::ZERO,
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_mins(2),
    Duration::from_mins(5),
    Duration::from_mins(15),
];

/// How long to leave a receiver alone that failed `failures` times in a row, given the `Retry-After` of its last
/// answer. Up to a fifth is taken off, by `jitter_seed`, so that those who failed together do not return together;
/// what the receiver asked for is a floor.
pub fn rest(failures: u32, after: Option<Duration>, jitter_seed: u64) -> Duration {
    let step = usize::try_from(failures).unwrap_or(usize::MAX).min(WAITS.len() - 1);
    let off = u32::try_from(scatter(jitter_seed, failures) % 201).unwrap_or(0);
    let wait = WAITS[step] * (1000 - off) / 1000;
    wait.max(after.unwrap_or_default().min(MAX_RETRY_AFTER))
}

/// The seed of a message: the same after a restart, different between messages.
pub fn jitter_seed(message_id: &str) -> u64 {
    let digest = Sha256::digest(message_id.as_bytes());
    digest.iter().take(8).fold(0, |seed, byte| (seed << 8) | u64::from(*byte))
}

/// Spreads neighbouring inputs over all of `u64` (the finaliser of splitmix64).
fn scatter(seed: u64, failures: u32) -> u64 {
    let mut bits = seed.wrapping_add(u64::from(failures).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// Reads a `Retry-After` header: seconds, or a date compared with `now`. At most an hour; `None` if it is neither.
pub(super) fn retry_after(header: &str, now: DateTime<Utc>) -> Option<Duration> {
    let header = header.trim();
    let wait = if !header.is_empty() && header.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than a u64 holds is still a number: a very long wait.
        Duration::from_secs(header.parse().unwrap_or(u64::MAX))
    } else {
        let at = DateTime::parse_from_rfc2822(header).ok()?.to_utc();
        (at - now).to_std().unwrap_or_default()
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn rests_grow_to_a_quarter_of_an_hour() {
        let full = [0, 5, 30, 120, 300, 900, 900, 900];
        for (failures, seconds) in (0..).zip(full) {
            let full = Duration::from_secs(seconds);
            let wait = rest(failures, None, jitter_seed("msg_1"));
            assert!(wait <= full && wait >= full * 4 / 5, "{failures} failures: {wait:?}");
        }
        assert_eq!(rest(u32::MAX, None, 0), rest(u32::MAX, None, 0));
    }

    #[test]
    fn those_who_failed_together_do_not_return_together() {
        let waits: std::collections::BTreeSet<_> =
            (0..100).map(|n| rest(3, None, jitter_seed(&format!("msg_{n}")))).collect();
        assert!(waits.len() > 50, "{} different waits", waits.len());
    }

    #[test]
    fn what_the_receiver_asks_for_is_a_floor_of_at_most_an_hour() {
        assert_eq!(rest(1, Some(SECOND * 77), 1), SECOND * 77);
        assert!(rest(6, Some(SECOND), 1) >= SECOND * 720);
        assert_eq!(rest(1, Some(SECOND * 100_000), 1), SECOND * 3600);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = DateTime::from_timestamp(784_111_777, 0).unwrap(); // Sun, 06 Nov 1994 08:49:37 GMT
        for (header, want) in [
            ("0", Some(0)),
            ("120", Some(120)),
            (" 7 ", Some(7)),
            ("3601", Some(3600)),
            ("99999999999999999999999999", Some(3600)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("Tue, 08 Nov 1994 08:49:37 GMT", Some(3600)),
            ("", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("Sun, 99 Nov 1994 08:50:37 GMT", None),
        ] {
            assert_eq!(retry_after(header, now), want.map(Duration::from_secs), "{header:?}");
        }
    }

    proptest! {
        #[test]
        fn a_wait_is_repeatable_and_bounded(failures: u32, after: Option<Duration>, seed: u64) {
            let wait = rest(failures, after, seed);
            prop_assert_eq!(wait, rest(failures, after, seed));
            prop_assert!(wait <= MAX_RETRY_AFTER);
            prop_assert!(after.is_some() || wait <= SECOND * 900);
        }

        #[test]
        fn any_retry_after_text_is_read_without_panic(header: String) {
            let _ = retry_after(&header, DateTime::UNIX_EPOCH);
        }
    }
}
