//! `findings history`: the life of one finding.

use std::collections::BTreeSet;

use serde_json::json;

use crate::{
    cli::{
        Exit,
        arguments::OrgArgs,
        output::{Column, Output, Table},
    },
    domain::decision::history,
};

/// Versions that are looked at.
const MOST: u32 = 10_000;

pub(super) async fn show(org: &OrgArgs, uid: &str, as_json: bool) -> Result<Exit, anyhow::Error> {
    let (org, store) = org.open_record().await?;
    let is_uid = (4..=24).contains(&uid.len()) && uid.bytes().all(|byte| byte.is_ascii_hexdigit());
    let (versions, entries) =
        if is_uid { store.finding_history(&org, uid, MOST).await? } else { Default::default() };
    let uids: BTreeSet<&str> = versions.iter().map(|version| version.finding.uid.as_str()).collect();
    let last = match uids.len() {
        1 => &versions[versions.len() - 1],
        0 => anyhow::bail!(
            "{uid:?}: {org} never had a finding with this uid (24 hex digits, or at least the first 4 of them); \
             `scopewarden findings --json` lists the open ones"
        ),
        several => anyhow::bail!("{uid:?}: {several} findings begin with this; give more of the uid"),
    };
    let turns = history::of(&last.finding.uid, &versions, &entries);
    let mut out = Output::new();
    if as_json {
        let finding = &last.finding;
        out.json(&json!({
            "uid": finding.uid,
            "org": finding.org,
            "check": finding.check,
            "client": finding.client,
            "title": finding.title,
            "open": last.until.is_none(),
            "history": turns,
        }))?;
    } else {
        out.line(format_args!("{} ({})", last.finding.title, last.finding.uid))?;
        let mut table = Table::new([
            Column::new("when"),
            Column::new("what"),
            Column::new("severity").extra(),
            Column::new("who").extra(),
            Column::new("audit or decision").extra(),
            Column::prose("why"),
        ]);
        for turn in &turns {
            table.row([
                turn.at.format("%Y-%m-%d %H:%M:%S").to_string().into(),
                turn.what.as_str().into(),
                turn.severity.map_or_else(|| "".into(), Into::into),
                turn.who.as_deref().unwrap_or_default().into(),
                turn.by.as_str().into(),
                turn.why.as_str().into(),
            ]);
        }
        out.table(&table)?;
    }
    out.flush()?;
    Ok(Exit::Fine)
}
