//! A path in words.
//!
//! Enters: the steps that `mod` found for a client. Leaves: sentences that name the client, the roles and the
//! permissions. Must never: leave out that a step is assumed, or what it needs.

use std::{collections::BTreeSet, fmt::Write as _};

use super::{Certainty, Escalation, Goal, Opens, Route, Step};
use crate::domain::{
    DivisionRef,
    inventory::{Client, Role},
};

/// Roles named in one sentence.
const ROLES_NAMED: usize = 3;

/// One client's way to more power.
#[derive(Clone, Debug)]
pub struct Path<'a> {
    client: &'a Client,
    steps: Vec<Step>,
    /// Where it ends.
    pub goal: Goal,
    /// How sure it is: as sure as its least sure step.
    pub certainty: Certainty,
    /// Roles of the client that give what the first step asks for.
    by: Vec<&'a Role>,
    /// It holds that in single divisions only, and divisions restrict it.
    in_divisions: bool,
    /// A role that allows everything.
    everything: Option<&'a Role>,
    /// A role that gives what the second step asks for.
    onward: Option<&'a Role>,
}

impl<'a> Path<'a> {
    pub(super) fn new(graph: &'a Escalation<'_>, client: &'a Client, route: Route) -> Self {
        let Route { steps, goal, certainty } = route;
        let (access, snapshot) = (graph.access, graph.access.snapshot);
        let wanted = |step: &Step| -> Vec<usize> {
            step.way.permissions.iter().filter_map(|name| access.universe.number(name)).collect()
        };
        let gives = |role: &Role, wanted: &[usize]| {
            access.role(&role.id).is_some_and(|power| wanted.iter().any(|at| power.matched.contains(*at)))
        };
        let first = steps.first().map(wanted).unwrap_or_default();
        let mut by: Vec<&Role> = Vec::new();
        let mut places: BTreeSet<&DivisionRef> = BTreeSet::new();
        for grant in access.granted(client) {
            let Some(role) = snapshot.roles.get(&grant.role).filter(|role| gives(role, &first)) else {
                continue;
            };
            places.insert(&grant.division);
            if by.iter().all(|known| known.id != role.id) {
                by.push(role);
            }
        }
        let aware = first.iter().any(|at| access.division_aware.contains(*at));
        let known = snapshot.catalogue.is_some();
        let onward = steps.get(1).map(wanted);
        Self {
            client,
            goal,
            certainty,
            by,
            in_divisions: known && aware && !places.contains(&DivisionRef::All),
            everything: graph.everything,
            onward: onward.and_then(|wanted| snapshot.roles.values().find(|role| gives(role, &wanted))),
            steps,
        }
    }

    /// The ids of the roles that it begins with.
    pub fn roles(&self) -> impl Iterator<Item = &str> {
        self.by.iter().map(|role| role.id.as_str())
    }

    /// Permissions that its first step asks for.
    pub fn permissions(&self) -> &[&'static str] {
        self.steps.first().map_or(&[], |step| &step.way.permissions)
    }

    /// The whole path as one sentence.
    pub fn sentence(&self) -> String {
        let Some(first) = self.steps.first() else { return String::new() };
        let mut roles: Vec<&str> = self.by.iter().take(ROLES_NAMED).map(|role| role.name.as_str()).collect();
        if self.by.len() > ROLES_NAMED {
            roles.push("others");
        }
        let plural = if self.by.len() > 1 { "s" } else { "" };
        let mut text = format!(
            "{} holds {} by the role{plural} {}, so it {}",
            self.client.name,
            first.way.permissions.join(" and "),
            roles.join(", "),
            first.way.words
        );
        // Writing to a `String` cannot fail.
        let _ = match (first.way.opens, self.goal) {
            (Opens::Everything, _) if first.way.name == "edit-role" => {
                let own = self.by.first().map_or("its own", |role| role.name.as_str());
                write!(text, ", {own} included, and thereby give itself everything")
            }
            (Opens::Everything, _) => write!(text, ", and thereby give itself everything"),
            (Opens::User, _) => write!(text, ", as an administrator too, who can do everything"),
            (Opens::EveryRole, Goal::EveryRole) => {
                write!(text, ": what all roles give together, though none of them allows everything")
            }
            (Opens::EveryRole, Goal::Everything) => match (self.steps.get(1), self.onward, self.everything) {
                (Some(next), Some(role), _) => write!(
                    text,
                    "; the role {} gives {}, so it then {}: everything",
                    role.name,
                    next.way.permissions.join(" and "),
                    next.way.words
                ),
                (_, _, Some(role)) => write!(text, "; the role {} allows everything", role.name),
                _ => Ok(()),
            },
            (Opens::Client, _) => Ok(()),
        };
        text
    }

    /// What the path needs beside its permissions, and what of it is assumed: sentences.
    pub fn provisos(&self) -> Vec<String> {
        let mut provisos: Vec<String> = Vec::new();
        for step in &self.steps {
            if step.way.needs != "none" {
                let sure = match step.way.certainty {
                    Certainty::Stated => "It needs that",
                    Certainty::Assumed => "It is assumed that",
                };
                provisos.push(format!("{sure} {}.", step.way.needs));
            }
            if step.conditional {
                provisos.push(format!(
                    "{} is held only under a condition, which is assumed to be met.",
                    step.way.permissions.join(" or ")
                ));
            }
        }
        if self.in_divisions {
            provisos.push(
                "It holds this in single divisions; whether that bounds what it may give depends on a setting of the \
                 organisation."
                    .to_owned(),
            );
        }
        provisos
    }

    /// Where the first step is known from.
    pub fn source(&self) -> &'static str {
        self.steps.first().map_or("", |step| step.way.source)
    }
}
