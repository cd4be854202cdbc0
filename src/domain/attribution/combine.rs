//! One answer for a stretch of time in which a subject changed several times.
//!
//! Enters: what is known of each change, in the order of time. Leaves: the one actor, if all have it, or everybody who took
//! part. Must never: let one known change speak for an unknown one.

use super::{Attribution, CANDIDATES, Candidate, Certainty};

/// Who made the sum of these changes; `None` of one: nobody asked about it. `None`: there are none.
pub fn combine(changes: &[Option<&Attribution>]) -> Option<Attribution> {
    let (last, others) = changes.split_last()?;
    if others.is_empty() {
        return last.cloned();
    }
    let all: Option<Vec<&Attribution>> = changes.iter().copied().collect();
    if let (Some(all), Some(last)) = (&all, last)
        && all
            .iter()
            .all(|one| one.certainty == Certainty::Exact && (one.kind, &one.id) == (last.kind, &last.id))
    {
        return Some((*last).clone());
    }
    let mut candidates: Vec<Candidate> = Vec::new();
    for one in changes.iter().flatten() {
        candidates.extend(one.candidates.iter().cloned());
        if let (Certainty::Exact, Some(at)) = (one.certainty, one.at) {
            candidates.push(Candidate {
                kind: one.kind,
                id: one.id.clone(),
                name: one.name.clone(),
                at,
                remote_ip: one.remote_ip.clone(),
                action: one.action.clone().unwrap_or_default(),
            });
        }
    }
    candidates
        .sort_by(|one, other| (other.at, &other.id, &other.action).cmp(&(one.at, &one.id, &one.action)));
    candidates.dedup();
    let known = changes.iter().flatten().filter(|one| one.certainty != Certainty::Unknown).count();
    let reason = format!("it changed {} times; of {known} it is known who did", changes.len());
    let candidates_total = candidates.len();
    candidates.truncate(CANDIDATES);
    let certainty = if candidates.is_empty() { Certainty::Unknown } else { Certainty::WithinWindow };
    Some(Attribution { certainty, candidates, candidates_total, ..Attribution::unknown(reason) })
}
