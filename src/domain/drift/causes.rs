//! The causes: each subject that differs, with its whole delta.
//!
//! Enters: both sides and the ids of what changed. Leaves: one [`Cause`] for each subject. Must never: leave a difference unsaid. Whatever
//! differs in an entity is named in its cause's `kinds`, `permissions` or details.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Value, json};

use super::{Causes, Pair, SubjectKey, changed::Changed, definition, observed, platform::brought};
use crate::domain::{
    DivisionRef, RoleId,
    access::Access,
    contract::Contract,
    event::{Cause, CauseKind, Delta, Subject},
    evidence::Hash,
    inventory::{Client, Grant, Role},
    permission::patterns,
    snapshot::Snapshot,
};

pub(super) fn find(pair: &Pair<'_>, changed: &Changed<'_>) -> Causes {
    let (before, after) = (pair.before.snapshot, pair.after.snapshot);
    let mut causes = Causes::new();
    for id in &changed.clients {
        let draft = match (before.clients.get(*id), after.clients.get(*id)) {
            (Some(old), Some(new)) => client_changed(pair, old, new),
            (None, Some(new)) => Some(client_alone(after, new, CauseKind::ClientAdded)),
            (Some(old), None) => Some(client_alone(before, old, CauseKind::ClientRemoved)),
            (None, None) => None,
        };
        add(&mut causes, SubjectKey::Client((*id).into()), draft);
    }
    let mut by_platform: BTreeMap<&RoleId, Vec<String>> = BTreeMap::new();
    for id in &changed.roles {
        let draft = match (before.roles.get(*id), after.roles.get(*id)) {
            (Some(old), Some(new)) if old != new => {
                let (draft, permissions) = role_changed(pair, old, new);
                if !permissions.is_empty() {
                    by_platform.insert(&new.id, permissions);
                }
                draft
            }
            (None, Some(new)) => Some(role_alone(new, CauseKind::RoleAdded)),
            (Some(old), None) => Some(role_alone(old, CauseKind::RoleRemoved)),
            _ => None,
        };
        add(&mut causes, SubjectKey::Role((*id).into()), draft);
    }
    if !changed.divisions.is_empty() {
        divisions(before, after, &mut causes);
    }
    if changed.catalogue {
        add(&mut causes, SubjectKey::Catalogue, catalogue(&pair.before, &pair.after, &by_platform));
    }
    if changed.operations {
        add(&mut causes, SubjectKey::Operations, definition::compare(&pair.before, &pair.after));
    }
    add(&mut causes, SubjectKey::Settings, Some(settings(before, after)));
    for key in &changed.contracts {
        let draft = contract_changed(before, after, key);
        add(&mut causes, SubjectKey::Contract((*key).to_owned()), draft);
    }
    causes
}

/// A cause being collected: the subject, and what differs.
pub(super) struct Draft {
    subject: Subject,
    kinds: Vec<CauseKind>,
    permissions: Delta,
    details: BTreeMap<String, Value>,
}

impl Draft {
    pub(super) fn of(kind: &str, id: &str, name: &str) -> Self {
        Self {
            subject: Subject { kind: kind.to_owned(), id: id.to_owned(), name: name.to_owned() },
            kinds: Vec::new(),
            permissions: Delta::default(),
            details: BTreeMap::new(),
        }
    }

    pub(super) fn says(mut self, kind: CauseKind) -> Self {
        self.kinds.push(kind);
        self
    }

    pub(super) fn with(mut self, name: &str, value: Value) -> Self {
        self.details.insert(name.to_owned(), value);
        self
    }

    /// Notes a plain field if it differs.
    fn field<T: PartialEq + Serialize>(&mut self, kind: CauseKind, name: &str, old: &T, new: &T) {
        if old != new {
            self.note(kind, name, json!({ "from": old, "to": new }));
        }
    }

    /// Notes a set of words if it differs.
    fn words(&mut self, kind: CauseKind, name: &str, old: &BTreeSet<String>, new: &BTreeSet<String>) {
        let delta = difference(old, new);
        if !delta.is_empty() {
            self.note(kind, name, json!(delta));
        }
    }

    fn note(&mut self, kind: CauseKind, name: &str, value: Value) {
        if !self.kinds.contains(&kind) {
            self.kinds.push(kind);
        }
        self.details.insert(name.to_owned(), value);
    }

    fn finish(mut self) -> Option<Cause> {
        // The kinds are declared weightiest first.
        self.kinds.sort_unstable();
        Some(Cause {
            kind: *self.kinds.first()?,
            subject: self.subject,
            kinds: self.kinds,
            permissions: self.permissions,
            details: self.details,
        })
    }
}

fn add(causes: &mut Causes, subject: SubjectKey, draft: Option<Draft>) {
    if let Some(cause) = draft.and_then(Draft::finish) {
        causes.insert(subject, cause);
    }
}

fn client_alone(side: &Snapshot, client: &Client, kind: CauseKind) -> Draft {
    let grants: Vec<Value> = client.grants().map(|grant| grant_value(side, grant)).collect();
    Draft::of("client", client.id.as_str(), &client.name)
        .says(kind)
        .with("grant_type", json!(client.grant_type))
        .with("state", json!(client.state))
        .with("scopes", json!(client.scopes))
        .with("grants", json!(grants))
}

fn client_changed(pair: &Pair<'_>, old: &Client, new: &Client) -> Option<Draft> {
    let (before, after) = (pair.before.snapshot, pair.after.snapshot);
    let observed = observed::difference((before, old), (after, new), grant_value);
    if old == new && observed.is_none() {
        return None;
    }
    let mut draft = Draft::of("client", new.id.as_str(), &new.name);
    if let Some(value) = observed {
        draft.note(CauseKind::ClientGrantsChanged, observed::FIELD, value);
    }
    draft.field(CauseKind::ClientGrantTypeChanged, "grant_type", &old.grant_type, &new.grant_type);
    if old.grants != new.grants {
        let missing = |side: &Snapshot, one: &Client, other: &Client| -> Vec<Value> {
            let others: BTreeSet<&Grant> = other.grants().collect();
            one.grants()
                .filter(|grant| !others.contains(grant))
                .map(|grant| grant_value(side, grant))
                .collect()
        };
        let value = json!({
            "added": missing(pair.after.snapshot, new, old),
            "removed": missing(pair.before.snapshot, old, new),
            "were_unknown": old.grants.is_none(),
            "are_unknown": new.grants.is_none(),
        });
        draft.note(CauseKind::ClientGrantsChanged, "grants", value);
    }
    draft.words(CauseKind::ClientScopesChanged, "scopes", &old.scopes, &new.scopes);
    draft.field(CauseKind::ClientStateChanged, "state", &old.state, &new.state);
    draft.field(CauseKind::ClientStateChanged, "date_to_delete", &old.date_to_delete, &new.date_to_delete);
    draft.words(
        CauseKind::ClientRedirectUrisChanged,
        "redirect_uris",
        &old.redirect_uris,
        &new.redirect_uris,
    );
    draft.field(
        CauseKind::ClientTokenLifetimeChanged,
        "token_lifetime_s",
        &old.token_lifetime_s,
        &new.token_lifetime_s,
    );
    draft.field(CauseKind::ClientNameChanged, "name", &old.name, &new.name);
    let about = CauseKind::ClientDescriptionChanged;
    draft.field(about, "description", &old.description, &new.description);
    draft.field(about, "created_by", &old.created_by, &new.created_by);
    draft.field(about, "date_created", &old.date_created, &new.date_created);
    Some(draft)
}

fn grant_value(side: &Snapshot, grant: &Grant) -> Value {
    let role_name = side.roles.get(&grant.role).map(|role| role.name.as_str());
    let division_name = match &grant.division {
        DivisionRef::One(id) => {
            side.divisions.as_ref().and_then(|all| all.get(id)).map(|division| division.name.as_str())
        }
        _ => None,
    };
    let mut value = json!({ "role": grant.role, "division": grant.division });
    for (name, text) in [("role_name", role_name), ("division_name", division_name)] {
        if let Some(text) = text {
            value[name] = json!(text);
        }
    }
    value
}

fn role_alone(role: &Role, kind: CauseKind) -> Draft {
    let all: Vec<String> = by_pattern(role).into_keys().collect();
    let mut draft =
        Draft::of("role", role.id.as_str(), &role.name).says(kind).with("default", json!(role.is_default));
    draft.permissions = match kind {
        CauseKind::RoleAdded => Delta { added: all, removed: Vec::new() },
        _ => Delta { added: Vec::new(), removed: all },
    };
    draft
}

/// What changed in a role by an edit, and beside it the permissions that the platform brought.
fn role_changed(pair: &Pair<'_>, old: &Role, new: &Role) -> (Option<Draft>, Vec<String>) {
    let (old_patterns, new_patterns) = (by_pattern(old), by_pattern(new));
    let Delta { added, removed } =
        difference(&old_patterns.keys().cloned().collect(), &new_patterns.keys().cloned().collect());
    let by_platform = |from: &Access<'_>, to: &Access<'_>, name: &String| {
        from.universe.number(name).is_some_and(|at| brought(from, to, &new.id, at))
    };
    let (given, added): (Vec<String>, Vec<String>) =
        added.into_iter().partition(|name| by_platform(&pair.before, &pair.after, name));
    let (taken, removed): (Vec<String>, Vec<String>) =
        removed.into_iter().partition(|name| by_platform(&pair.after, &pair.before, name));

    let mut draft = Draft::of("role", new.id.as_str(), &new.name);
    draft.permissions = Delta { added, removed };
    if !draft.permissions.is_empty() {
        draft.kinds.push(CauseKind::RolePermissionsChanged);
    }
    let (mut loosened, mut tightened) = (Vec::new(), Vec::new());
    for (pattern, old_conditions) in &old_patterns {
        let Some(new_conditions) = new_patterns.get(pattern).filter(|new| *new != old_conditions) else {
            continue;
        };
        let change = json!({ "permission": pattern, "from": old_conditions, "to": new_conditions });
        if tighter(old_conditions, new_conditions) {
            tightened.push(change);
        } else {
            loosened.push(change);
        }
    }
    for (kind, name, changes) in [
        (CauseKind::RoleConditionsLoosened, "conditions_loosened", loosened),
        (CauseKind::RoleConditionsTightened, "conditions_tightened", tightened),
    ] {
        if !changes.is_empty() {
            draft.note(kind, name, json!(changes));
        }
    }
    draft.field(CauseKind::RoleRenamed, "name", &old.name, &new.name);
    let about = CauseKind::RoleDescriptionChanged;
    draft.field(about, "description", &old.description, &new.description);
    draft.field(about, "default", &old.is_default, &new.is_default);
    draft.field(about, "default_role_id", &old.default_role_id, &new.default_role_id);
    (Some(draft), [given, taken].concat())
}

/// The conditions under which a role gives each pattern; `None` among them: without condition.
type Conditions = BTreeSet<Option<String>>;

fn by_pattern(role: &Role) -> BTreeMap<String, Conditions> {
    let mut map: BTreeMap<String, Conditions> = BTreeMap::new();
    for (pattern, condition) in patterns(role) {
        map.entry(pattern.to_string()).or_default().insert(condition.map(str::to_owned));
    }
    map
}

/// Alternatives are OR-ed: fewer of them, or the loss of the unconditional one, is tighter. Two different
/// conditions cannot be compared, and count as loosened: nothing proves that they are not.
fn tighter(old: &Conditions, new: &Conditions) -> bool {
    (old.contains(&None) && !new.contains(&None))
        || (old.contains(&None) == new.contains(&None) && new.is_subset(old))
}

fn divisions(before: &Snapshot, after: &Snapshot, causes: &mut Causes) {
    // A list read for the first time is knowledge gained, not a change.
    let (Some(old), Some(new)) = (&before.divisions, &after.divisions) else { return };
    for (id, pair) in zip(old, new) {
        let draft = match pair {
            (Some(old), Some(new)) => {
                let mut draft = Draft::of("division", id.as_str(), &new.name);
                draft.field(CauseKind::DivisionRenamed, "name", &old.name, &new.name);
                draft.field(CauseKind::DivisionRenamed, "home", &old.home, &new.home);
                draft
            }
            (None, Some(new)) => Draft::of("division", id.as_str(), &new.name).says(CauseKind::DivisionAdded),
            (Some(old), None) => {
                Draft::of("division", id.as_str(), &old.name).says(CauseKind::DivisionRemoved)
            }
            (None, None) => continue,
        };
        add(causes, SubjectKey::Division(id.clone()), Some(draft));
    }
}

/// Entries of each list of what the platform changed; the counts and a digest are of the whole.
pub(super) const LISTED: usize = 200;

fn catalogue(
    before: &Access<'_>,
    after: &Access<'_>,
    by_platform: &BTreeMap<&RoleId, Vec<String>>,
) -> Option<Draft> {
    let (old, new) = (&before.catalogue.permissions, &after.catalogue.permissions);
    if old == new {
        return None;
    }
    let mut draft =
        Draft::of("catalogue", "permissions", "permission catalogue").says(CauseKind::CatalogueChanged);
    let whole = difference(&old.keys().cloned().collect(), &new.keys().cloned().collect());
    let mut facts: Vec<Value> = zip(old, new)
        .filter_map(|(name, pair)| match pair {
            (Some(old), Some(new)) if old != new => {
                Some(json!({ "permission": name, "from": old, "to": new }))
            }
            _ => None,
        })
        .collect();
    draft = draft.with(
        "counts",
        json!({ "added": whole.added.len(), "removed": whole.removed.len(), "changed": facts.len() }),
    );
    let cut = [whole.added.len(), whole.removed.len(), facts.len()].iter().any(|length| *length > LISTED);
    if cut {
        // What is left out still makes another change of it: an approval covers one.
        draft = draft.with("digest", json!(Hash::of(json!([whole, facts]).to_string().as_bytes())));
    }
    let Delta { mut added, mut removed } = whole;
    added.truncate(LISTED);
    removed.truncate(LISTED);
    facts.truncate(LISTED);
    draft.permissions = Delta { added, removed };
    if !facts.is_empty() {
        draft = draft.with("facts", json!(facts));
    }
    if !by_platform.is_empty() {
        let name = |id: &RoleId| after.snapshot.roles.get(id).map(|role| role.name.as_str());
        let roles: Vec<Value> = by_platform
            .iter()
            .map(|(id, permissions)| json!({ "id": id, "name": name(id), "permissions": permissions }))
            .collect();
        draft = draft.with("roles", json!(roles));
    }
    Some(draft)
}

/// A contract that was changed, is new, or was taken away. Its subject is the client that it is about; if it is about
/// none, what the file says.
fn contract_changed(before: &Snapshot, after: &Snapshot, key: &str) -> Option<Draft> {
    let (old, new) = (before.contracts.get(key), after.contracts.get(key));
    let either = new.or(old)?;
    let id = either.pinned.as_ref();
    let client = id.and_then(|id| after.clients.get(id).or_else(|| before.clients.get(id)));
    let name = client.map_or(either.client.as_str(), |client| &client.name);
    let mut draft = Draft::of("contract", key, name);
    let kind = CauseKind::ContractChanged;
    let nothing = Contract::default();
    let (was, is) = (old.unwrap_or(&nothing), new.unwrap_or(&nothing));
    draft.words(kind, "calls", &was.calls, &is.calls);
    // Not `permissions`, which every cause has.
    draft.words(kind, "needed_permissions", &was.permissions, &is.permissions);
    draft.words(kind, "must_be_denied", &was.must_be_denied, &is.must_be_denied);
    draft.words(kind, "divisions", &was.divisions, &is.divisions);
    draft.words(kind, "token_scopes", &was.token_scopes, &is.token_scopes);
    draft.field(kind, "owner", &was.owner, &is.owner);
    draft.field(kind, "purpose", &was.purpose, &is.purpose);
    match (old, new) {
        (None, _) => draft.note(kind, "contract", json!("added")),
        (_, None) => draft.note(kind, "contract", json!("removed")),
        // The file now names the same client in another way.
        _ => draft.field(kind, "client", &was.client, &is.client),
    }
    Some(draft)
}

fn settings(before: &Snapshot, after: &Snapshot) -> Draft {
    let mut draft = Draft::of("organisation", "settings", "scope enforcement");
    draft.field(
        CauseKind::ScopeEnforcementChanged,
        "scope_enforcement",
        &before.settings.scope_enforcement,
        &after.settings.scope_enforcement,
    );
    draft
}

fn difference(old: &BTreeSet<String>, new: &BTreeSet<String>) -> Delta {
    Delta { added: new.difference(old).cloned().collect(), removed: old.difference(new).cloned().collect() }
}

/// Both maps side by side, by key.
fn zip<'a, K: Ord, V>(
    old: &'a BTreeMap<K, V>,
    new: &'a BTreeMap<K, V>,
) -> impl Iterator<Item = (&'a K, (Option<&'a V>, Option<&'a V>))> {
    let only_new = new.iter().filter(|(key, _)| !old.contains_key(*key));
    old.iter()
        .map(|(key, value)| (key, (Some(value), new.get(key))))
        .chain(only_new.map(|(key, value)| (key, (None, Some(value)))))
}
