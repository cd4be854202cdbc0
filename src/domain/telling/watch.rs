//! What is told without an audit: that none was complete for too long, and that the daemon lives. Pure.
//!
//! Enters: when audits were due, when one was complete, what was told. Leaves: whether it is time. Must never: blame an
//! organisation for the time in which the program did not run.

use chrono::{DateTime, TimeDelta, Utc};

/// An audit that is due may begin and end this much later before anybody calls it missing.
pub const GRACE: TimeDelta = TimeDelta::minutes(1);

/// What is known of an organisation's audits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vital {
    /// When the last complete audit was recorded.
    pub complete: Option<DateTime<Utc>>,
    /// When the last audit was recorded, complete or not.
    pub recorded: Option<DateTime<Utc>>,
    /// Facts that the last recorded audit did not see.
    pub gaps: Vec<String>,
    /// Why the last attempt failed, if it did after the last recorded audit.
    pub failure: Option<String>,
    /// When it was last told that none was complete for too long, if no complete one came since.
    pub overdue: Option<DateTime<Utc>>,
}

/// What to do about the audits of an organisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alarm {
    /// All is well, or told already.
    None,
    /// None was complete for so many intervals: tell it.
    Tell(usize),
    /// As `Tell`, but what it comes of was told: note it and say nothing.
    Note,
}

impl Vital {
    /// Since when audits are waited for: the last complete one, or when somebody began to look.
    pub fn waiting_since(&self, began: DateTime<Utc>) -> DateTime<Utc> {
        self.complete.map_or(began, |complete| complete.max(began))
    }

    /// Whether it is to be told. `due`: due times since [`Vital::waiting_since`], up to [`GRACE`] ago; `limit`: that many
    /// are too many; 0: never. Audits that fail were told of when they began to.
    pub fn alarm(&self, due: usize, limit: u32) -> Alarm {
        if limit == 0 || due < limit as usize || self.overdue.is_some() {
            return Alarm::None;
        }
        if self.failure.is_some() { Alarm::Note } else { Alarm::Tell(due) }
    }

    /// What is known of why.
    pub fn reason(&self) -> String {
        match (&self.failure, self.gaps.is_empty()) {
            (Some(failure), _) => failure.clone(),
            (None, false) => {
                format!("audits are recorded without some facts ({}); `scopewarden doctor` says why", self.gaps.join(", "))
            }
            (None, true) => "none was recorded at all: an audit hangs, the schedule does not tick, or the database cannot be \
                             written; the log says which"
                .to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fixtures::when;

    #[test]
    fn it_is_told_once_and_not_if_the_cause_was() {
        let well = Vital { complete: Some(when()), ..Vital::default() };
        assert_eq!(well.alarm(2, 3), Alarm::None);
        assert_eq!(well.alarm(3, 3), Alarm::Tell(3));
        assert_eq!(well.alarm(1_000, 0), Alarm::None, "nobody asked");
        let told = Vital { overdue: Some(when()), ..well.clone() };
        assert_eq!(told.alarm(4, 3), Alarm::None);
        let failing = Vital { failure: Some("the secret was refused".to_owned()), ..well };
        assert_eq!(failing.alarm(3, 3), Alarm::Note);
    }

    #[test]
    fn the_time_before_the_program_ran_does_not_count() {
        let began = when();
        let old = Vital { complete: Some(began - TimeDelta::days(3)), ..Vital::default() };
        assert_eq!(old.waiting_since(began), began);
        assert_eq!(Vital::default().waiting_since(began), began);
        let fresh = Vital { complete: Some(began + TimeDelta::hours(1)), ..Vital::default() };
        assert_eq!(fresh.waiting_since(began), began + TimeDelta::hours(1));
    }

    #[test]
    fn what_is_known_of_why_is_said() {
        let mut vital = Vital { gaps: vec!["divisions".to_owned()], ..Vital::default() };
        assert!(vital.reason().contains("divisions"));
        vital.gaps.clear();
        assert!(vital.reason().contains("hangs"));
        vital.failure = Some("forbidden".to_owned());
        assert_eq!(vital.reason(), "forbidden");
    }
}
