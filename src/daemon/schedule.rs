//! When audits are due.
//!
//! Enters: the checked cron expression (seconds first, UTC). Leaves: due times, and a tick at each.
//! Must never: run an audit, or decide about overlap. The library only ticks: a tick is a message, and the loop of
//! each organisation owns what follows (one audit at a time, catch-up once, no due time twice).

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use croner::{Cron, parser::CronParser, parser::Seconds, parser::Year};
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

/// Due times looked at when missed runs are counted or the longest gap is searched; enough for a week of minutes.
const LOOK: usize = 10_080;

/// A checked schedule.
#[derive(Clone, Debug)]
pub struct Schedule {
    expression: String,
    cron: Cron,
}

/// The configuration accepted an expression that the scheduler does not.
#[derive(Debug, thiserror::Error)]
#[error("audit.schedule {expression:?} is not understood by the scheduler: {reason}")]
pub struct Error {
    expression: String,
    reason: String,
}

impl Schedule {
    /// Reads an expression that the configuration has checked.
    pub fn parse(expression: &str) -> Result<Self, Error> {
        // As tokio-cron-scheduler reads it: where both days are named, both must agree.
        let parser =
            CronParser::builder().seconds(Seconds::Required).year(Year::Optional).dom_and_dow(true).build();
        let cron = parser
            .parse(expression)
            .map_err(|error| Error { expression: expression.to_owned(), reason: error.to_string() })?;
        Ok(Self { expression: expression.to_owned(), cron })
    }

    /// The first due time after `now`; `None` if there is none any more.
    pub fn next_after(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        // croner carries fractions of a second over, and the tick would come before its due time.
        self.cron.find_next_occurrence(&now.trunc_subsecs(0), false).ok()
    }

    /// The last due time in (`since`, `now`], and how many there were (at most 10,080 are counted).
    pub fn due_between(&self, since: DateTime<Utc>, now: DateTime<Utc>) -> Option<(DateTime<Utc>, usize)> {
        let mut due: Option<(DateTime<Utc>, usize)> = None;
        let mut at = since;
        while let Some(next) = self.next_after(at).filter(|next| *next <= now) {
            let count = due.map_or(1, |(_, count)| count + 1);
            due = Some((next, count));
            at = next;
            if count == LOOK {
                break;
            }
        }
        due
    }

    /// The longest gap between two due times in the year after `now`, among the first 10,080.
    pub fn longest_gap(&self, now: DateTime<Utc>) -> TimeDelta {
        let end = now + TimeDelta::days(366);
        let mut longest = TimeDelta::zero();
        let mut at = self.next_after(now);
        for _ in 0..LOOK {
            let Some(one) = at.filter(|one| *one < end) else { break };
            at = self.next_after(one);
            if let Some(next) = at {
                longest = longest.max(next - one);
            }
        }
        longest
    }

    /// Calls `tick` at each due time until the returned scheduler is shut down. `tick` must not block.
    pub async fn start(
        &self,
        tick: impl Fn() + Send + Sync + 'static,
    ) -> Result<JobScheduler, JobSchedulerError> {
        let scheduler = JobScheduler::new().await?;
        scheduler.add(Job::new(self.expression.as_str(), move |_, _| tick())?).await?;
        scheduler.start().await?;
        Ok(scheduler)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn due_times_are_counted_and_the_last_is_named() {
        let schedule = Schedule::parse("0 */15 * * * *").unwrap();
        assert_eq!(schedule.next_after(at("2026-11-24T10:00:00Z")), Some(at("2026-11-24T10:15:00Z")));
        let due = schedule.due_between(at("2026-11-24T10:00:00Z"), at("2026-11-24T11:07:00Z"));
        assert_eq!(due, Some((at("2026-11-24T11:00:00Z"), 4)));
        assert_eq!(schedule.due_between(at("2026-11-24T10:00:00Z"), at("2026-11-24T10:14:59Z")), None);
        // Including the end.
        let due = schedule.due_between(at("2026-11-24T10:00:00Z"), at("2026-11-24T10:15:00Z"));
        assert_eq!(due, Some((at("2026-11-24T10:15:00Z"), 1)));
    }

    #[test]
    fn due_times_are_whole_seconds() {
        let schedule = Schedule::parse("0 * * * * *").unwrap();
        let next = Some(at("2026-11-24T10:01:00Z"));
        for now in ["2026-11-24T10:00:00Z", "2026-11-24T10:00:00.97Z", "2026-11-24T10:00:59.999999999Z"] {
            assert_eq!(schedule.next_after(at(now)), next, "{now}");
        }
        let due = schedule.due_between(at("2026-11-24T10:00:03.97Z"), at("2026-11-24T10:01:00.2Z"));
        assert_eq!(due, Some((at("2026-11-24T10:01:00Z"), 1)));
    }

    #[test]
    fn a_day_of_the_month_and_one_of_the_week_must_agree() {
        let schedule = Schedule::parse("0 0 0 1 * MON").unwrap();
        assert_eq!(schedule.next_after(at("2026-11-24T10:00:00Z")), Some(at("2027-02-01T00:00:00Z")));
    }

    #[test]
    fn a_clock_set_back_makes_nothing_due() {
        let schedule = Schedule::parse("0 * * * * *").unwrap();
        assert_eq!(schedule.due_between(at("2026-11-24T10:00:00Z"), at("2025-01-01T00:00:00Z")), None);
    }

    #[test]
    fn a_year_of_downtime_is_counted_to_the_bound() {
        let schedule = Schedule::parse("0 * * * * *").unwrap();
        let due = schedule.due_between(at("2025-01-01T00:00:00Z"), at("2026-01-01T00:00:00Z"));
        assert_eq!(due.map(|(_, count)| count), Some(LOOK));
    }

    #[test]
    fn the_longest_gap_serves_every_kind_of_schedule() {
        let gap = |expression: &str| {
            Schedule::parse(expression).unwrap().longest_gap(at("2026-11-24T10:00:00Z")).num_hours()
        };
        assert_eq!(gap("0 0 * * * *"), 1);
        assert_eq!(gap("0 0 8-18 * * MON-FRI"), 62);
        assert_eq!(gap("0 0 0 1 * *"), 31 * 24);
    }

    #[tokio::test]
    async fn the_library_ticks() {
        let (ticks, mut seen) = tokio::sync::mpsc::channel(1);
        let schedule = Schedule::parse("* * * * * *").unwrap();
        let mut scheduler = schedule
            .start(move || {
                // A full channel is a tick that nobody waits for.
                let _ = ticks.try_send(());
            })
            .await
            .unwrap();
        let tick = tokio::time::timeout(std::time::Duration::from_secs(20), seen.recv()).await;
        assert_eq!(tick, Ok(Some(())));
        scheduler.shutdown().await.unwrap();
    }
}
