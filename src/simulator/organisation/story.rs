//! The demonstration's organisation: the clients that a contact centre of some years has, with the faults that come
//! with age. Names and faults are fixed; the seed changes only ids and secrets.

use super::shipped::{
    add_announced_clients, add_division, add_queue, add_user, client, employee_role, policies, role,
};
use super::{Client, Grant, Organisation, Role, identity};

/// A role of the story: name, description, permissions.
type RoleFacts = (&'static str, Option<&'static str>, &'static [&'static str]);

const DIVISIONS: [(&str, i64); 4] = [("Home", 58), ("North America", 41), ("EMEA", 33), ("APAC", 0)];

/// Roles by their place in the story; 0 to 2 are the shipped ones, see [`tell`].
const ROLES: [RoleFacts; 13] = [
    (
        "Reporting_Engine_ReadOnly",
        Some("Read-only reporting"),
        &[
            "analytics:conversationDetail:view",
            "analytics:conversationAggregate:view",
            "analytics:userObservation:view",
            "routing:queue:view",
            "directory:user:view",
        ],
    ),
    (
        "Outbound dialling",
        Some("Runs campaigns"),
        &[
            "outbound:campaign:view",
            "outbound:campaign:start",
            "outbound:campaign:stop",
            "outbound:contact:add",
            "outbound:contact:edit",
            "outbound:contactList:view",
            "outbound:contactList:upload",
        ],
    ),
    (
        "CRM integration",
        None,
        &[
            "externalContacts:contact:view",
            "externalContacts:contact:edit",
            "conversation:call:add",
            "conversation:callback:create",
        ],
    ),
    (
        "Recording export",
        Some("Bulk export for the PCI archive"),
        &[
            "recording:recording:view",
            "recording:job:view",
            "recording:job:add",
            "speechAndTextAnalytics:data:view",
        ],
    ),
    (
        "WFM feed",
        Some("Schedules and adherence"),
        &[
            "wfm:schedule:view",
            "wfm:publishedSchedule:view",
            "wfm:realtimeAdherence:view",
            "wfm:managementUnit:view",
        ],
    ),
    (
        "Dashboard viewer",
        Some("Live numbers"),
        &["analytics:queueObservation:view", "analytics:userObservation:view", "routing:queue:view"],
    ),
    (
        "Bot author",
        Some("Publishes bot flows"),
        &[
            "architect:flow:view",
            "architect:flow:edit",
            "architect:flow:publish",
            "knowledge:document:view",
            "textbots:session:execute",
        ],
    ),
    ("Everything in quality", None, &["quality:*:*"]),
    (
        "Identity provisioning",
        Some("Joiners, movers, leavers"),
        &[
            "directory:user:add",
            "directory:user:edit",
            "directory:user:view",
            "authorization:grant:add",
            "authorization:grant:view",
            "authorization:role:view",
        ],
    ),
    (
        "Data actions",
        Some("Calls out to our own services"),
        &["integrations:action:execute", "integrations:action:view", "integrations:integration:view"],
    ),
    (
        "Deployment pipeline",
        Some("Configuration as code"),
        &[
            "routing:queue:*",
            "routing:skill:*",
            "architect:flow:*",
            "architect:datatable:*",
            "integrations:*:*",
        ],
    ),
    (
        "Survey reader",
        Some("Survey results"),
        &["analytics:surveyAggregate:view", "analytics:conversationDetials:view"],
    ),
    ("Journey events", None, &["journey:event:view", "journey:segment:view"]),
];

/// The organisation of the story, before anything happens.
pub(super) fn tell(seed: u64) -> Organisation {
    let mut organisation = Organisation::empty(seed, "Contoso Contact Centre");
    for (number, (name, flows)) in (0..).zip(DIVISIONS) {
        add_division(&mut organisation, seed, number, name, flows);
    }
    add_announced_clients(&mut organisation, seed);
    let employee = employee_role(seed);
    add_people(&mut organisation, seed, &employee.id);
    organisation.roles.insert(employee.id.clone(), employee);
    for (number, (name, description, permissions)) in (3..).zip(ROLES) {
        let role = Role {
            description: description.map(str::to_owned),
            policies: policies(permissions),
            ..role(seed, number, name)
        };
        organisation.roles.insert(role.id.clone(), role);
    }
    let cast = Cast { seed, organisation: &organisation };
    for client in machines(&cast).into_iter().chain(apps(&cast)) {
        organisation.clients.insert(client.id.clone(), client);
    }
    organisation
}

/// APAC is new: nobody and nothing is there yet.
fn add_people(organisation: &mut Organisation, seed: u64, employee: &str) {
    for number in 0..24 {
        let division = identity::id(seed, "division", number % 3);
        add_user(organisation, seed, number, &division, &[employee]);
        if number < 9 {
            let (place, _) = DIVISIONS[usize::try_from(number % 3).unwrap_or(0)];
            add_queue(organisation, seed, number, &division, &format!("{place} queue {}", number / 3 + 1));
        }
    }
}

/// Who plays: finds roles and divisions by name.
struct Cast<'a> {
    seed: u64,
    organisation: &'a Organisation,
}

impl Cast<'_> {
    fn grant(&self, role: &str, division: &str) -> Grant {
        let roles = &self.organisation.roles;
        let divisions = &self.organisation.divisions;
        let role_id = roles.values().find(|known| known.name == role).map(|known| known.id.clone());
        let division_id =
            divisions.values().find(|known| known.name == division).map(|known| known.id.clone());
        Grant { role: role_id.unwrap_or_default(), division: division_id.unwrap_or_else(|| "*".to_owned()) }
    }

    /// A client that holds roles by client credentials.
    fn machine(&self, number: u64, name: &str, description: Option<&str>, grants: &[(&str, &str)]) -> Client {
        Client {
            description: description.map(str::to_owned),
            role_divisions: Some(grants.iter().map(|(role, division)| self.grant(role, division)).collect()),
            ..client(self.seed, number, name)
        }
    }

    /// A client that acts for whoever signed in.
    fn app(&self, number: u64, name: &str, grant_type: &str, redirect: &str, scopes: &[&str]) -> Client {
        Client {
            grant_type: grant_type.to_owned(),
            redirect_uris: Some(vec![redirect.to_owned()]),
            scope: Some(scopes.iter().map(|&scope| scope.to_owned()).collect()),
            role_divisions: None,
            ..client(self.seed, number, name)
        }
    }
}

const EVERYWHERE: &str = "*";

/// Those that act by their roles.
fn machines(cast: &Cast<'_>) -> Vec<Client> {
    vec![
        cast.machine(
            2,
            "Reporting_Engine",
            Some("Nightly conversation reports for BI"),
            &[("Reporting_Engine_ReadOnly", EVERYWHERE)],
        ),
        Client {
            shows_secret: true,
            ..cast.machine(
                3,
                "Nightly_BI_Export",
                Some("Exports to the data lake"),
                &[("Reporting_Engine_ReadOnly", EVERYWHERE)],
            )
        },
        cast.machine(
            4,
            "dialer-outbound-east",
            Some("Campaigns of the east coast"),
            &[("Outbound dialling", "North America")],
        ),
        cast.machine(
            5,
            "CRM_Sync",
            Some("Admin, because it just works"),
            &[("Admin", EVERYWHERE), ("CRM integration", EVERYWHERE)],
        ),
        Client {
            token_validity: Some(172_800),
            ..cast.machine(7, "Chatbot_FAQ", None, &[("Bot author", "EMEA")])
        },
        cast.machine(
            8,
            "WFM_Feed",
            Some("Schedules for payroll"),
            &[("WFM feed", "North America"), ("WFM feed", "EMEA")],
        ),
        Client {
            extra: Some(("allowedIpRanges".into(), serde_json::json!(["192.0.2.16/28"]))),
            ..cast.machine(
                9,
                "PCI_Recording_Export",
                Some("Archive of card payments"),
                &[("Recording export", EVERYWHERE)],
            )
        },
        Client {
            state: "inactive".into(),
            date_to_delete: Some(identity::days_before(-7)),
            ..cast.machine(11, "Test_do_not_use", None, &[("Everything in quality", EVERYWHERE)])
        },
        cast.machine(
            12,
            "HR_Provisioning",
            Some("Accounts from the HR system"),
            &[("Identity provisioning", EVERYWHERE)],
        ),
        cast.machine(13, "Data_Actions_Gateway", Some("Order status in flows"), &[("Data actions", "Home")]),
        cast.machine(14, "cx-as-code-pipeline", Some("Terraform"), &[("Deployment pipeline", EVERYWHERE)]),
        Client {
            role_divisions: None,
            role_ids: Some(vec![cast.grant("Survey reader", EVERYWHERE).role]),
            ..cast.machine(15, "Survey_Collector", Some("Customer satisfaction"), &[])
        },
        Client {
            state: "disabled".into(),
            ..cast.machine(18, "Migration_2023", None, &[("Admin", EVERYWHERE)])
        },
        cast.machine(
            19,
            "QA_Scorecards",
            Some("Quality scores"),
            &[
                ("Everything in quality", "EMEA"),
                ("Employee", "EMEA"),
                ("Journey events", "EMEA"),
                ("Dashboard viewer", "EMEA"),
            ],
        ),
    ]
}

/// Those that act for whoever signs in.
fn apps(cast: &Cast<'_>) -> [Client; 4] {
    [
        cast.app(
            6,
            "Old_Wallboard",
            "TOKEN",
            "http://wallboard.contoso.example/",
            &["analytics", "routing", "users"],
        ),
        cast.app(
            10,
            "Workforce_Dashboard",
            "CODE",
            "https://wfm.contoso.example/callback",
            &["analytics:readonly", "users:readonly", "workforce-management:readonly"],
        ),
        cast.app(
            16,
            "Agent_Desktop",
            "CODE",
            "https://desktop.contoso.example/oauth",
            &["conversations", "external-contacts", "presence", "routing:readonly", "users:readonly"],
        ),
        cast.app(17, "Kiosk_Login", "PASSWORD", "http://kiosk.contoso.example/", &["users", "presence"]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::organisation::Policy;
    use crate::simulator::power::{recorded_grants, role_allows};

    #[test]
    fn every_permission_of_the_story_is_real_but_the_misspelt_one() {
        let organisation = tell(1);
        let mut unknown = Vec::new();
        for policy in organisation.roles.values().flat_map(|role| &role.policies) {
            for action in &policy.actions {
                let alone = Role {
                    policies: vec![Policy::new(&policy.domain, &policy.entity, &[action])],
                    ..role(1, 99, "alone")
                };
                if !organisation.catalogue.keys().any(|permission| role_allows(&alone, permission)) {
                    unknown.push(format!("{}:{}:{action}", policy.domain, policy.entity));
                }
            }
        }
        assert_eq!(unknown, ["analytics:conversationDetials:view"]);
    }

    #[test]
    fn every_grant_of_the_story_names_a_role_and_a_division_that_exist() {
        let organisation = tell(1);
        for client in organisation.clients.values() {
            for grant in recorded_grants(client) {
                assert!(organisation.roles.contains_key(&grant.role), "{}", client.name);
                assert!(organisation.can_grant_in(&grant.division), "{}", client.name);
            }
        }
    }
}
