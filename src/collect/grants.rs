//! What clients are granted, from their own side: one call a client, for those whose turn it is.
//!
//! Enters: ids, in order, as many as the audit's budget has. Leaves: [`GrantsSeen`]. Must never: take an unknown subject
//! for one without grants, or go on asking what was refused for all.
//!
//! Why from this side. The role's side (`…/roles/{roleId}/subjectgrants`) costs a call for each hundred holders of a role,
//! and lists people as well: the role that every employee has takes hundreds of calls, for clients that may not hold it.
//! It would be the cheaper one only where clients by far outnumber roles and people, and it does not say whether a grant
//! is the client's own or comes from a group. One call a client has a price that is known before it is paid.

use tracing::warn;

use super::{
    Endpoint, Error,
    api::{Api, Moment},
    invalid, wire,
};
use crate::domain::{ClientId, Fact, Gap, facts::GrantsSeen};

/// Clients in a row that the platform fails for before the rest is left to the next audit.
const FAILURES_IN_A_ROW: usize = 3;

/// Asks about each of `ids`; beyond the first `must`, only while no call has to wait. What fails is a gap: of that
/// client, or of all if nobody can be asked.
pub(super) async fn read(api: &mut Api, ids: &[ClientId], must: usize, moment: Moment) -> GrantsSeen {
    let mut seen = GrantsSeen::default();
    let mut failures = 0;
    for (place, id) in ids.iter().enumerate() {
        if place >= must && !api.transport.has_room() {
            break;
        }
        match one(api, id, moment).await {
            Ok(grants) => {
                failures = 0;
                seen.seen.insert(id.clone(), grants);
            }
            Err(error) => {
                failures = if matches!(error, Error::NotFound { .. }) { 0 } else { failures + 1 };
                let for_all =
                    matches!(error, Error::Forbidden { .. } | Error::Auth { .. } | Error::RateLimited { .. });
                warn!(
                    fact = Fact::Grants.as_str(),
                    client = id.as_str(),
                    reason = error.reason(),
                    %error,
                    "what a client is granted could not be read"
                );
                if for_all || failures == FAILURES_IN_A_ROW {
                    seen.gaps.push(gap(None, &error));
                    break;
                }
                seen.gaps.push(gap(Some(id), &error));
            }
        }
    }
    seen
}

async fn one(
    api: &mut Api,
    id: &ClientId,
    moment: Moment,
) -> Result<crate::domain::inventory::ObservedGrants, Error> {
    let endpoint = Endpoint::Subject;
    let mut url = api.url_of(endpoint, id.as_str());
    // Otherwise a grant that the client has both by itself and through a group is shown once, and nobody knows whose.
    url.query_pairs_mut().append_pair("includeDuplicates", "true");
    let body = api.get(endpoint, &url, moment).await?;
    wire::subject(&body, id).map_err(|mismatch| invalid(endpoint, &mismatch))
}

fn gap(client: Option<&ClientId>, error: &Error) -> Gap {
    let reason = if matches!(error, Error::NotFound { .. }) { "not_found" } else { error.reason() };
    let detail = match client {
        Some(id) => format!("{error} (client {id}); its grants are kept as last seen"),
        None => format!("{error}; what clients are granted beside their own records is kept as last seen"),
    };
    Gap {
        fact: Fact::Grants,
        subject: client.map(ToString::to_string),
        reason: reason.to_owned(),
        detail,
        stale_since: None,
    }
}
