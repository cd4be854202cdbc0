//! Ids, secrets and dates, all of them a function of the seed: the same organisation every time.

use chrono::{DateTime, Duration, SecondsFormat, Utc};
use sha2::{Digest, Sha256};

/// 2026-11-01T00:00:00Z: generated things lie before it, each write one second after the one before.
const EPOCH_SECONDS: i64 = 1_793_491_200;

/// A UUID for the `number`th thing of a kind.
pub(in crate::simulator) fn id(seed: u64, kind: &str, number: u64) -> String {
    let hash = hash(seed, kind, number);
    let bytes: [u8; 16] = std::array::from_fn(|index| hash[index]);
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
}

/// A client secret: 43 characters, as long as the platform's own.
pub(in crate::simulator) fn secret(seed: u64, kind: &str, number: u64) -> String {
    hex::encode(hash(seed, kind, number))[..43].to_owned()
}

/// A moment so many days before the fixed epoch.
pub(in crate::simulator) fn days_before(days: i64) -> String {
    date(Duration::days(-days))
}

/// The moment of the organisation's `revision`th write.
pub(in crate::simulator) fn moment_of(revision: u64) -> String {
    date(Duration::seconds(i64::try_from(revision).unwrap_or(0)))
}

/// When everything that is generated was there.
pub(in crate::simulator) fn epoch() -> DateTime<Utc> {
    DateTime::from_timestamp(EPOCH_SECONDS, 0).unwrap_or_default()
}

fn date(after_epoch: Duration) -> String {
    (epoch() + after_epoch).to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn hash(seed: u64, kind: &str, number: u64) -> [u8; 32] {
    Sha256::digest(format!("{seed}/{kind}/{number}")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_version_4_uuids_and_depend_on_every_part() {
        let all = [id(1, "client", 0), id(2, "client", 0), id(1, "role", 0), id(1, "client", 1)];
        for (index, one) in all.iter().enumerate() {
            assert_eq!(uuid::Uuid::parse_str(one).unwrap().get_version_num(), 4);
            assert!(!all[..index].contains(one));
        }
        assert_eq!(id(1, "client", 0), all[0]);
    }

    #[test]
    fn dates_are_counted_from_the_epoch() {
        assert_eq!(moment_of(0), "2026-11-01T00:00:00.000Z");
        assert_eq!(days_before(1), "2026-10-31T00:00:00.000Z");
        assert_eq!(moment_of(61), "2026-11-01T00:01:01.000Z");
    }
}
