//! A message for Slack: blocks, and a text for notifications.
//!
//! Enters: a [`Story`]. Leaves: the payload of an incoming webhook. Must never: pass one of Slack's limits, or let what
//! somebody called a role become a mention or a link (`& < >` are escaped, and they are all that Slack asks for).

use serde_json::{Value, json};

use super::Story;

/// The most blocks of a payload.
pub const MOST_BLOCKS: usize = 50;
/// The most characters of a section's text, escaped.
pub const SECTION_CHARS: usize = 3000;
/// The most characters of a header's text.
pub const HEADER_CHARS: usize = 150;

/// The payload.
pub fn payload(story: &Story) -> Value {
    let heading = story.heading();
    let mut blocks = vec![
        json!({ "type": "header", "text": { "type": "plain_text", "text": super::clip(&heading, HEADER_CHARS), "emoji": false } }),
        section(&escape(&story.summary)),
    ];
    for (heading, lines) in story.parts() {
        let lines: Vec<String> = lines.iter().map(|line| format!("• {}", escape(line))).collect();
        blocks.push(section(&format!("*{heading}*\n{}", lines.join("\n"))));
    }
    if let Some(link) = &story.link {
        blocks.push(section(&format!("<{}|Open scopewarden>", escape(link).replace('|', "%7C"))));
    }
    let footer = json!([{ "type": "mrkdwn", "text": cut(&escape(&story.footer()), SECTION_CHARS) }]);
    blocks.push(json!({ "type": "context", "elements": footer }));
    blocks.truncate(MOST_BLOCKS);
    // The text is what a notification shows and what a search finds: the id is in it too.
    let text = format!("{heading}: {} [{}]", story.summary, story.id);
    json!({ "text": cut(&escape(&text), SECTION_CHARS), "blocks": blocks })
}

fn section(text: &str) -> Value {
    json!({ "type": "section", "text": { "type": "mrkdwn", "text": cut(text, SECTION_CHARS) } })
}

/// The three characters that Slack gives a meaning to.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// At most so many characters, and never half an escape.
fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut kept: String = text.chars().take(most - 1).collect();
    if let Some(start) = kept.rfind('&')
        && !kept[start..].contains(';')
    {
        kept.truncate(start);
    }
    kept.push('…');
    kept
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_cut_never_splits_an_escape() {
        assert_eq!(cut("abc&amp;def", 11), "abc&amp;def");
        assert_eq!(cut("abc&amp;def", 7), "abc…");
        assert_eq!(cut("abc&amp;def", 9), "abc&amp;…");
    }

    proptest! {
        #[test]
        fn nothing_that_was_escaped_is_left_open(text in "[a&<>é]{0,40}", most in 2_usize..60) {
            let cut = cut(&escape(&text), most);
            prop_assert!(cut.chars().count() <= most);
            prop_assert!(!cut.contains(['<', '>']));
            let bare = cut.replace("&amp;", "").replace("&lt;", "").replace("&gt;", "");
            prop_assert!(!bare.contains('&'), "{cut}");
        }
    }
}
