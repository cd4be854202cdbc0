//! The calls that an audit makes, and the few more of `doctor`: the whole list, each with its bounded name and what it
//! needs.
//!
//! Enters: nothing. Leaves: paths, metric labels, and what to grant when the platform refuses.
//! Must never: grow a call whose number depends on how many clients there are, without a bound for each audit.

use std::fmt;

/// One kind of call to the platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// The token endpoint, on the login host.
    Token,
    /// Every OAuth client.
    Clients,
    /// The roles, in pages.
    Roles,
    /// The divisions with object counts, in pages.
    Divisions,
    /// The permission catalogue by domain, in pages.
    Permissions,
    /// The platform's own API definition.
    Definition,
    /// The auditor's own grants.
    OwnSubject,
    /// The organisation's id and name.
    Organisation,
    /// What the token is (`doctor`), and whose (probes).
    TokenInfo,
    /// The user behind the token, of which there is none (`doctor`).
    UserInfo,
    /// The platform's limits (`doctor`).
    Limits,
    /// One probe, whatever its operation is.
    Probe,
    /// What one client is granted, from its own side. As many calls as the audit's budget has.
    Subject,
    /// Asks for a count of what clients called.
    UsageJob,
    /// Whether that count is made, and its pages.
    UsageJobResults,
    /// The same by the platform's older query.
    UsageQuery,
    /// Its results.
    UsageQueryResults,
    /// What the audit log covers.
    AuditMapping,
    /// What its realtime query covers.
    AuditRealtimeMapping,
    /// Entries of the audit log, at once.
    AuditRealtime,
    /// Asks for entries of the audit log.
    AuditQuery,
    /// How far that query is.
    AuditQueryStatus,
    /// Its results.
    AuditQueryResults,
}

impl Endpoint {
    /// The `endpoint` label of the metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Clients => "oauth_clients_list",
            Self::Roles => "roles_list",
            Self::Divisions => "divisions_list",
            Self::Permissions => "permissions_list",
            Self::Definition => "docs_swagger",
            Self::OwnSubject => "subjects_me",
            Self::Organisation => "organizations_me",
            Self::TokenInfo => "tokens_me",
            Self::UserInfo => "users_me",
            Self::Limits => "organizations_limits",
            Self::Probe => "probe",
            Self::Subject => "subject_grants",
            Self::UsageJob => "usage_job",
            Self::UsageJobResults => "usage_job_results",
            Self::UsageQuery => "usage_query",
            Self::UsageQueryResults => "usage_query_results",
            Self::AuditMapping => "audits_servicemapping",
            Self::AuditRealtimeMapping => "audits_realtime_servicemapping",
            Self::AuditRealtime => "audits_realtime",
            Self::AuditQuery => "audits_query",
            Self::AuditQueryStatus => "audits_query_status",
            Self::AuditQueryResults => "audits_query_results",
        }
    }

    /// Method and path, as a person would look it up.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Token => "POST /oauth/token",
            Self::Clients => "GET /api/v2/oauth/clients",
            Self::Roles => "GET /api/v2/authorization/roles",
            Self::Divisions => "GET /api/v2/authorization/divisions",
            Self::Permissions => "GET /api/v2/authorization/permissions",
            Self::Definition => "GET /api/v2/docs/swagger",
            Self::OwnSubject => "GET /api/v2/authorization/subjects/me",
            Self::Organisation => "GET /api/v2/organizations/me",
            Self::TokenInfo => "GET /api/v2/tokens/me",
            Self::UserInfo => "GET /api/v2/users/me",
            Self::Limits => "GET /api/v2/organizations/limits/namespaces/platform.api",
            Self::Probe => "a probe",
            Self::Subject => "GET /api/v2/authorization/subjects/{subjectId}",
            Self::UsageJob => "POST /api/v2/usage/aggregates/query/jobs",
            Self::UsageJobResults => "GET /api/v2/usage/aggregates/query/jobs/{jobId}",
            Self::UsageQuery => "POST /api/v2/usage/query",
            Self::UsageQueryResults => "GET /api/v2/usage/query/{executionId}/results",
            Self::AuditMapping => "GET /api/v2/audits/query/servicemapping",
            Self::AuditRealtimeMapping => "GET /api/v2/audits/query/realtime/servicemapping",
            Self::AuditRealtime => "POST /api/v2/audits/query/realtime",
            Self::AuditQuery => "POST /api/v2/audits/query",
            Self::AuditQueryStatus => "GET /api/v2/audits/query/{transactionId}",
            Self::AuditQueryResults => "GET /api/v2/audits/query/{transactionId}/results",
        }
    }

    /// Whether it is about what clients called.
    pub(super) fn is_usage(self) -> bool {
        matches!(self, Self::UsageJob | Self::UsageJobResults | Self::UsageQuery | Self::UsageQueryResults)
    }

    /// Whether it is about the platform's audit log.
    pub(super) fn is_audit_log(self) -> bool {
        self.scope() == "audits:readonly"
    }

    /// The path alone; a part in braces stands for an id.
    pub(super) fn path(self) -> &'static str {
        self.as_str().split_once(' ').map_or("", |(_, path)| path)
    }

    /// The scope that lets the call through where an organisation enforces scopes.
    pub(super) fn scope(self) -> &'static str {
        match self {
            Self::Token
            | Self::Clients
            | Self::UsageJob
            | Self::UsageJobResults
            | Self::UsageQuery
            | Self::UsageQueryResults => "oauth:readonly",
            Self::AuditMapping
            | Self::AuditRealtimeMapping
            | Self::AuditRealtime
            | Self::AuditQuery
            | Self::AuditQueryStatus
            | Self::AuditQueryResults => "audits:readonly",
            // The definition states no scope for itself.
            Self::Roles
            | Self::Divisions
            | Self::Permissions
            | Self::Definition
            | Self::OwnSubject
            | Self::Subject => "authorization:readonly",
            Self::Organisation | Self::Limits => "organization:readonly",
            Self::TokenInfo | Self::UserInfo | Self::Probe => "user-basic-info",
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
