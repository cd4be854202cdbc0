//! Words for generated things: plausible names, and the scopes that the platform offers.

use std::collections::BTreeSet;

use crate::simulator::operations;

/// What integrations are for.
pub(super) const PURPOSES: [&str; 16] = [
    "Reporting",
    "CRM_Sync",
    "Wallboard",
    "WFM_Feed",
    "Chatbot",
    "Dialer",
    "BI_Export",
    "Recording_Archive",
    "Provisioning",
    "Survey",
    "Ticketing",
    "Data_Lake",
    "Callback",
    "Knowledge_Sync",
    "Quality_Scoring",
    "Payments",
];
/// Who runs them.
pub(super) const PLACES: [&str; 8] = ["EU", "US", "Nordics", "APAC", "Prod", "Staging", "Partner", "Legacy"];
/// Names of divisions beside Home.
pub(super) const DIVISIONS: [&str; 10] = [
    "North America",
    "EMEA",
    "APAC",
    "Nordics",
    "Iberia",
    "LATAM",
    "Retail",
    "Insurance",
    "Back office",
    "Partners",
];
/// Given names of users.
pub(super) const GIVEN: [&str; 12] =
    ["Ana", "Bo", "Chidi", "Dana", "Eva", "Femi", "Grace", "Hugo", "Inés", "Jonas", "Keiko", "Lars"];
/// Family names of users.
pub(super) const FAMILY: [&str; 10] =
    ["Okafor", "Lindqvist", "Moreau", "Tanaka", "Novak", "García", "Smith", "Haddad", "Rossi", "Berg"];

/// Every scope: those that operations declare, and `all`.
pub(in crate::simulator) fn scopes() -> BTreeSet<&'static str> {
    operations::all().iter().flat_map(|operation| operation.scopes.iter().copied()).chain(["all"]).collect()
}
