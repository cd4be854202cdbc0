//! Which messages a receiver wants.
//!
//! Enters: what the operator wrote for a receiver, and what a message concerns. Leaves: yes or no. Must never: hold back
//! what tells of the audits themselves. A receiver that hears nothing must be able to tell that from silence.

use std::collections::BTreeSet;

use wildmatch::WildMatch;

use super::{Severity, message::MessageKind};

/// What one receiver wants to hear. Each empty list stands for everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The least severity of changes and findings.
    pub min_severity: Severity,
    /// Checks whose findings it wants, by id; `*` stands for any letters. Changes have no check.
    pub checks: Vec<String>,
    /// Organisations, by their configured names.
    pub orgs: Vec<String>,
    /// Owners of the clients concerned, as contracts name them; `*` stands for any letters.
    pub owners: Vec<String>,
    /// What it wants to hear of, beside the audits themselves.
    pub topics: Vec<Topic>,
    /// It is told that the daemon lives.
    pub heartbeat: bool,
}

/// What a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// Changes of the configuration.
    Drift,
    /// What is wrong with clients.
    Findings,
    /// The audits themselves. No receiver can do without.
    Audits,
}

impl Topic {
    /// Every topic.
    pub const ALL: [Self; 3] = [Self::Drift, Self::Findings, Self::Audits];

    /// The word in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Drift => "drift",
            Self::Findings => "findings",
            Self::Audits => "audits",
        }
    }

    /// Reads the word that [`Topic::as_str`] writes; `None` for any other.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|topic| topic.as_str() == word)
    }

    fn of(kind: MessageKind) -> Self {
        match kind {
            MessageKind::DriftDetected
            | MessageKind::DriftAttributed
            | MessageKind::DriftGrouped
            | MessageKind::DriftFlapping => Self::Drift,
            MessageKind::FindingOpened
            | MessageKind::FindingReopened
            | MessageKind::FindingResolved
            | MessageKind::FindingFlapping
            | MessageKind::FindingReminder => Self::Findings,
            MessageKind::AuditFailed
            | MessageKind::AuditRecovered
            | MessageKind::BaselineRecorded
            | MessageKind::DeliveryDead
            | MessageKind::Heartbeat
            | MessageKind::Test => Self::Audits,
        }
    }
}

/// Whom and what a message, or one thing that it would tell, concerns.
#[derive(Clone, Copy, Debug)]
pub struct Concern<'a> {
    /// The organisation's configured name; `None`: it tells of the program itself.
    pub org: Option<&'a str>,
    /// How bad.
    pub severity: Severity,
    /// The check, if it is a finding.
    pub check: Option<&'a str>,
    /// The owners of the clients concerned.
    pub owners: &'a BTreeSet<String>,
}

impl Route {
    /// Everything but heartbeats.
    pub const ALL: Self = Self {
        min_severity: Severity::Info,
        checks: Vec::new(),
        orgs: Vec::new(),
        owners: Vec::new(),
        topics: Vec::new(),
        heartbeat: false,
    };

    /// Whether the receiver gets what would be told by a message of this kind.
    pub fn wants(&self, kind: MessageKind, concern: &Concern<'_>) -> bool {
        if concern.org.is_some_and(|org| !self.hears_of(org)) {
            return false;
        }
        let topic = Topic::of(kind);
        if topic == Topic::Audits {
            return kind != MessageKind::Heartbeat || self.heartbeat;
        }
        concern.severity >= self.min_severity
            && (self.topics.is_empty() || self.topics.contains(&topic))
            && concern.check.is_none_or(|check| any(&self.checks, check))
            && (self.owners.is_empty() || concern.owners.iter().any(|owner| any(&self.owners, owner)))
    }

    /// Whether it hears anything of an organisation.
    pub fn hears_of(&self, org: &str) -> bool {
        self.orgs.is_empty() || self.orgs.iter().any(|wanted| wanted == org)
    }
}

/// Whether one of the patterns fits; without any, all do.
fn any(patterns: &[String], text: &str) -> bool {
    patterns.is_empty() || patterns.iter().any(|pattern| fits(pattern, text))
}

/// Whether a pattern fits a name, whole and letter for letter; `*` stands for any letters.
pub fn fits(pattern: &str, name: &str) -> bool {
    WildMatch::new(pattern).matches(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn concern<'a>(check: Option<&'a str>, owners: &'a BTreeSet<String>) -> Concern<'a> {
        Concern { org: Some("acme"), severity: Severity::High, check, owners }
    }

    #[test]
    fn each_filter_speaks_of_its_own() {
        let list = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let bi: BTreeSet<String> = ["bi@example.com".to_owned()].into();
        let nobody = BTreeSet::new();
        let opened = MessageKind::FindingOpened;
        let drift = MessageKind::DriftDetected;
        let finding = concern(Some("contract-missing"), &bi);
        let change = concern(None, &bi);

        let checks = Route { checks: list(&["admin-role", "contract-*"]), ..Route::ALL };
        assert!(checks.wants(opened, &finding));
        assert!(!checks.wants(opened, &concern(Some("wildcard"), &bi)));
        assert!(checks.wants(drift, &change), "a change has no check");

        let owners = Route { owners: list(&["*@example.com"]), ..Route::ALL };
        assert!(owners.wants(opened, &finding) && owners.wants(drift, &change));
        assert!(!owners.wants(drift, &concern(None, &nobody)), "nobody's clients are not theirs");

        let orgs = Route { orgs: list(&["other"]), ..Route::ALL };
        assert!(!orgs.wants(drift, &change) && !orgs.wants(MessageKind::AuditFailed, &change));
        assert!(orgs.wants(MessageKind::DeliveryDead, &Concern { org: None, ..change }));

        let topics = Route { topics: vec![Topic::Findings], ..Route::ALL };
        assert!(topics.wants(opened, &finding) && !topics.wants(drift, &change));

        let severe = Route { min_severity: Severity::Critical, ..Route::ALL };
        assert!(!severe.wants(drift, &change));
    }

    #[test]
    fn what_tells_of_the_audits_always_arrives_and_heartbeats_are_asked_for() {
        let narrow = Route {
            min_severity: Severity::Critical,
            checks: vec!["admin-role".to_owned()],
            owners: vec!["nobody".to_owned()],
            topics: vec![Topic::Findings],
            ..Route::ALL
        };
        let nobody = BTreeSet::new();
        let change = concern(None, &nobody);
        for kind in [MessageKind::AuditFailed, MessageKind::AuditRecovered, MessageKind::BaselineRecorded] {
            assert!(narrow.wants(kind, &change), "{}", kind.as_str());
        }
        assert!(!narrow.wants(MessageKind::Heartbeat, &change));
        assert!(Route { heartbeat: true, ..narrow }.wants(MessageKind::Heartbeat, &change));
    }

    #[test]
    fn a_pattern_fits_whole_names() {
        assert!(fits("admin-role", "admin-role") && !fits("admin-role", "admin-roles"));
        assert!(fits("contract-*", "contract-missing") && !fits("contract-*", "a-contract-"));
    }
}
