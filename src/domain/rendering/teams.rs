//! A message for Microsoft Teams: an Adaptive Card in the envelope that a workflow posts.
//!
//! Enters: a [`Story`]. Leaves: the payload. Must never: reach 28 KB, at which Teams drops a card without a word, or
//! let what somebody called a role become a link (Markdown is escaped).

use serde_json::{Value, json};

use super::Story;

/// What a card may have at most, everything included, bytes. Teams takes about 28 KB.
pub const MOST_BYTES: usize = 27 * 1024;

/// The payload.
pub fn payload(story: &Story) -> Value {
    let parts = story.parts();
    // A story has about sixteen lines of at most 300 characters; only with all of them in a wide script is it too
    // much. Then the longest lists lose lines, and say how many.
    let mut most = parts.iter().map(|(_, lines)| lines.len()).max().unwrap_or(0);
    loop {
        let card = card(story, &parts, most);
        if most == 0 || card.to_string().len() <= MOST_BYTES {
            return card;
        }
        most -= 1;
    }
}

fn card(story: &Story, parts: &[(&'static str, Vec<String>)], most: usize) -> Value {
    let colour = if story.over.is_some() {
        "good"
    } else {
        match story.severity.as_str() {
            "critical" | "high" => "attention",
            "medium" => "warning",
            _ => "default",
        }
    };
    let block = |text: String| json!({ "type": "TextBlock", "text": text, "wrap": true });
    let mut body = vec![
        json!({ "type": "TextBlock", "text": escape(&story.heading()), "wrap": true, "weight": "bolder", "size": "medium", "color": colour }),
        block(escape(&story.summary)),
    ];
    for (heading, lines) in parts {
        body.push(json!({ "type": "TextBlock", "text": heading, "wrap": true, "weight": "bolder", "spacing": "medium" }));
        let mut shown: Vec<String> =
            lines.iter().take(most).map(|line| format!("- {}", escape(line))).collect();
        if lines.len() > most {
            shown.push(format!("- {} more, left out for lack of room", lines.len() - most));
        }
        // A list of Markdown: one line each.
        body.push(block(shown.join("\r")));
    }
    body.push(json!({ "type": "TextBlock", "text": escape(&story.footer()), "wrap": true, "isSubtle": true, "size": "small" }));
    let mut card = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": body,
    });
    if let Some(link) = &story.link {
        card["actions"] = json!([{ "type": "Action.OpenUrl", "title": "Open scopewarden", "url": link }]);
    }
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": card,
        }],
    })
}

/// What Markdown would give a meaning to.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '\\' | '*' | '_' | '[' | ']' | '(' | ')' | '`' | '~' | '#' | '<' | '>') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}
