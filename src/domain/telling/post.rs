//! Who gets what: the things to be told, each offered to each receiver, and made into messages for those who want it.
//!
//! Enters: things of one kind with what they concern. Leaves: messages with their receivers. Must never: put into a
//! receiver's message something that its route does not want, make two messages of the same things, or lose count of what
//! nobody wants.
//!
//! What is grouped is grouped after the routes have chosen. Receivers that chose the same get the same message, with one
//! id; those that chose differently get different ones, whose ids are of what is in them.

use std::collections::{BTreeMap, HashMap};

use super::Audience;
use crate::domain::{
    message::{Message, MessageKind},
    route::Concern,
};

/// Messages with their receivers, and what no receiver wanted.
#[derive(Debug, Default)]
pub(super) struct Post {
    pub(super) messages: Vec<(Message, Vec<String>)>,
    pub(super) unheard: BTreeMap<MessageKind, u64>,
}

impl Post {
    /// Offers `things` to every receiver; `render` makes messages of those that one wants, which keep their order.
    pub(super) fn offer<T>(
        &mut self,
        audience: &Audience,
        kind: MessageKind,
        things: &[(T, Concern<'_>)],
        render: impl Fn(&[&T]) -> Vec<Message>,
    ) {
        // Receivers by what they chose, in the order in which a choice was first made.
        let mut choices: Vec<(Vec<usize>, Vec<String>)> = Vec::new();
        let mut heard = vec![false; things.len()];
        for (name, route) in &audience.receivers {
            let chosen: Vec<usize> =
                (0..things.len()).filter(|index| route.wants(kind, &things[*index].1)).collect();
            if chosen.is_empty() {
                continue;
            }
            for index in &chosen {
                heard[*index] = true;
            }
            match choices.iter_mut().find(|(choice, _)| *choice == chosen) {
                Some((_, names)) => names.push(name.clone()),
                None => choices.push((chosen, vec![name.clone()])),
            }
        }
        let unheard = heard.iter().filter(|heard| !**heard).count();
        if unheard > 0 {
            *self.unheard.entry(kind).or_default() += unheard as u64;
        }
        let mut places: HashMap<String, usize> = HashMap::new();
        for (chosen, names) in choices {
            let chosen: Vec<&T> = chosen.iter().map(|index| &things[*index].0).collect();
            for message in render(&chosen) {
                if let Some(place) = places.get(&message.id) {
                    self.messages[*place].1.extend(names.iter().cloned());
                } else {
                    places.insert(message.id.clone(), self.messages.len());
                    self.messages.push((message, names.clone()));
                }
            }
        }
    }
}
