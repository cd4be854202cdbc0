//! What is on this side: the database, and the way to each receiver.
//!
//! Enters: the configuration. Leaves: answers. Must never: change the record (a schema that is old stays old), hold the
//! lock longer than it takes to see that it is free, or send a receiver anything unasked.

use chrono::{DateTime, Utc};
use rustix::fs::{Access, access};
use uuid::Uuid;

use super::{Answer, Verdict};
use crate::{
    config::{Config, Receiver},
    daemon::lock,
    domain::message,
    notify::{self, Outcome, Webhook},
    store::Store,
};

/// The database: can it be opened, is it writable, does anybody audit, is there room?
pub(super) async fn database(config: &Config) -> Vec<Answer> {
    let path = &config.storage.path;
    let shown = path.display();
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.map_or_else(|| std::path::PathBuf::from("."), std::path::Path::to_path_buf);
    let writes = |place: &std::path::Path| access(place, Access::WRITE_OK).is_ok();
    let who = "run doctor as the user that the daemon runs as; that user has to own the folder and the file";
    if !path.exists() {
        return vec![if folder.is_dir() && writes(&folder) {
            let detail = format!("{shown} is not there yet; the first audit makes it");
            Answer::of("database", Verdict::Ok, detail)
        } else {
            let detail = format!("{shown} is not there, and {} cannot be written to", folder.display());
            Answer::of("database", Verdict::Problem, detail).advise(who)
        }];
    }
    let mut answers = Vec::new();
    answers.push(match Store::open_read_only(path).await {
        Ok(store) => {
            let free = store.free_bytes().await.ok();
            store.close().await;
            match free {
                Some(free) if free < config.storage.min_free => {
                    let detail = format!(
                        "{free} bytes are free on its file system, storage.min_free is {}",
                        config.storage.min_free
                    );
                    Answer::of("database", Verdict::Problem, detail)
                        .advise("free space: audits wait until then")
                }
                _ => Answer::of("database", Verdict::Ok, format!("{shown} opens")),
            }
        }
        Err(error) => Answer::of("database", Verdict::Problem, error.to_string())
            .advise("see \"Storage\" and \"Restore\" in docs/operations.md"),
    });
    answers.push(if writes(path) && writes(&folder) {
        Answer::of("database writable", Verdict::Ok, "file and folder")
    } else {
        let detail = format!("this user may not write {shown} or its folder");
        Answer::of("database writable", Verdict::Problem, detail).advise(who)
    });
    answers.push(match lock::acquire(path) {
        Ok(_) => Answer::of("lock", Verdict::Ok, "free: no daemon and no audit is running here"),
        Err(lock::Error::Held(_)) => Answer::of("lock", Verdict::Ok, "held: a daemon or an audit is running"),
        Err(error) => Answer::of("lock", Verdict::CannotTell, error.to_string()).advise(who),
    });
    answers
}

/// Whether a receiver takes connections.
pub(super) async fn reached(receiver: &Receiver) -> Answer {
    let probe = format!("receiver {}", receiver.name);
    match notify::reach(receiver).await {
        Ok(address) => Answer::of(probe, Verdict::Ok, format!("{address} takes connections")),
        Err(why) => Answer::of(probe, Verdict::Problem, why)
            .advise("check the receiver's URL and its proxy in the configuration, and the firewall"),
    }
}

/// Whether a receiver takes a signed message.
pub(super) async fn tested(config: &Config, receiver: &Receiver, now: DateTime<Utc>) -> Answer {
    let probe = format!("test message to {}", receiver.name);
    let number = Uuid::new_v4().simple().to_string();
    let message = message::test(&receiver.name, &number, config.server.external_url.as_str(), now);
    let webhook = match Webhook::new(receiver) {
        Ok(webhook) => webhook,
        Err(error) => return Answer::of(probe, Verdict::Problem, error.to_string()),
    };
    let refused = |detail: String| {
        Answer::of(&probe, Verdict::Problem, detail)
            .advise("the receiver's log says why; a wrong secret and a clock that is off look alike there")
    };
    match webhook.deliver(&message.id, message.body.as_bytes(), now).await {
        Outcome::Delivered => Answer::of(&probe, Verdict::Ok, format!("taken (webhook-id {})", message.id)),
        Outcome::Retry { detail, .. }
        | Outcome::Refused { detail, .. }
        | Outcome::Dead { detail, .. }
        | Outcome::Disabled { detail } => refused(detail),
    }
}
