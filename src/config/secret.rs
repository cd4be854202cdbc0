//! Fetches secrets from where the configuration says they are: a file, a variable, a systemd credential.
//!
//! Enters: the name of a place. Leaves: a secret, or a refusal that names the place.
//! Must never: show what a place holds, or a "name" that looks like a pasted secret.

use std::{
    fmt,
    fs::{self, File},
    io::{ErrorKind, Read},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use secrecy::{ExposeSecret, SecretString};
use standardwebhooks::Webhook;

use super::{problem::Refusal, section::Section};

/// A secret that prints as nothing and can be compared: a reload asks whether it changed.
#[derive(Clone)]
pub struct Secret(SecretString);

impl From<SecretString> for Secret {
    fn from(secret: SecretString) -> Self {
        Self(secret)
    }
}

impl From<String> for Secret {
    fn from(secret: String) -> Self {
        Self(secret.into())
    }
}

impl ExposeSecret<str> for Secret {
    fn expose_secret(&self) -> &str {
        self.0.expose_secret()
    }
}

impl Eq for Secret {}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.expose_secret() == other.expose_secret()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The largest secret, in bytes.
const LARGEST: u64 = 64 * 1024;

/// The one of `places` (a file, a variable, a credential) that is given; a secret at `inline`, in the file itself, is
/// refused.
pub(super) fn place(
    section: &mut Section<'_, '_>,
    inline: &'static str,
    places: [&'static str; 3],
) -> Option<&'static str> {
    let [file, variable, credential] = places;
    let is_elsewhere = places.map(|key| section.holds(key)).contains(&true);
    let reason = format!(
        "a secret is never written into the configuration; put it into a file of mode 0440 and name that with \
         {file} (or use {variable} or {credential})"
    );
    if section.forbid(inline, &reason) && !is_elsewhere {
        return None;
    }
    section.exactly_one(&places)
}

/// Fetches the secret that `key` names; whether `key` means a file, a variable or a credential is its suffix.
/// A relative file name starts at `directory`.
pub(super) fn fetch(
    section: &mut Section<'_, '_>,
    key: &'static str,
    directory: &Path,
) -> Option<SecretString> {
    if key.ends_with("_env") {
        let name = section.text(key, variable_name)?;
        return match section.named_variable(&name).map(trimmed) {
            Some(secret) => section.accept(key, usable(secret)),
            None => section.accept(key, Err(named(&name, "is not set in the environment"))),
        };
    }
    if key.ends_with("_credential") {
        let Some(credentials) = section.named_variable("CREDENTIALS_DIRECTORY").map(str::to_owned) else {
            let reason = "$CREDENTIALS_DIRECTORY is not set; systemd sets it for a unit with LoadCredential=";
            return section.accept(key, Err(Refusal::hidden(reason)));
        };
        return section.text(key, |name| {
            if name.is_empty() || name.starts_with('.') || name.contains('/') {
                return Err(named(name, "is not the name of a credential, as LoadCredential= gives it"));
            }
            read_file(name, &Path::new(&credentials).join(name))
        });
    }
    section.text(key, |name| read_file(name, &directory.join(name)))
}

/// Reads a file that holds a secret which somebody else renews; the same rules as for any other secret file. The error is
/// a sentence that names the file and never what it holds.
pub fn read_again(path: &Path) -> Result<Secret, String> {
    let name = path.to_string_lossy();
    read_file(&name, path).map(Secret::from).map_err(|refusal| match refusal.value {
        Some(value) => format!("{value} {}", refusal.reason),
        None => refusal.reason,
    })
}

/// Checks that `secret` can sign webhooks: `whsec_` and the base64 of 24 to 64 bytes, as Standard Webhooks says.
pub(super) fn signing_secret(secret: SecretString) -> Result<SecretString, Refusal> {
    const EXPECTED: &str = "a signing secret is whsec_ followed by the base64 of 24 to 64 random bytes; \
                            make one with: echo \"whsec_$(openssl rand -base64 32)\"";
    let Some(encoded) = secret.expose_secret().strip_prefix("whsec_") else {
        return Err(Refusal::hidden(format!("what it holds does not start with whsec_; {EXPECTED}")));
    };
    if Webhook::new(secret.expose_secret()).is_err() {
        return Err(Refusal::hidden(format!("what follows whsec_ is not base64; {EXPECTED}")));
    }
    // It decodes, so it is padded to groups of four letters for three bytes.
    let bytes = encoded.len() / 4 * 3 - encoded.matches('=').count();
    if (24..=64).contains(&bytes) {
        Ok(secret)
    } else {
        Err(Refusal::hidden(format!("it has {bytes} bytes; {EXPECTED}")))
    }
}

fn variable_name(name: &str) -> Result<String, Refusal> {
    let is_word = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if is_word && !name.starts_with(|c: char| c.is_ascii_digit()) {
        Ok(name.to_owned())
    } else {
        // Most likely the secret itself.
        Err(Refusal::hidden(
            "expected the name of an environment variable (letters, digits and _), not its value",
        ))
    }
}

fn read_file(name: &str, path: &Path) -> Result<SecretString, Refusal> {
    let refuse = |reason: String| {
        if looks_secret(name) { named(name, &reason) } else { Refusal::of(&path.to_string_lossy(), reason) }
    };
    let unreadable = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => refuse("does not exist".to_owned()),
        ErrorKind::PermissionDenied => refuse(
            "may not be read by the user that scopewarden runs as; check its owner, group and mode"
                .to_owned(),
        ),
        _ => refuse(format!("cannot be read: {error}")),
    };
    // Asked before opening, because opening a pipe waits for its writer.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(refuse("is not a regular file".to_owned()));
    }
    let file = File::open(path).map_err(unreadable)?;
    let mode = file.metadata().map_err(unreadable)?.permissions().mode() & 0o7777;
    if mode & 0o007 != 0 {
        return Err(refuse(format!(
            "is open to everybody (mode {mode:04o}); give it the group that scopewarden runs as (chgrp) and chmod 0440"
        )));
    }
    let mut content = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut content).map_err(unreadable)?;
    if content.len() as u64 > LARGEST {
        return Err(refuse("is larger than 64 KiB, which is no secret".to_owned()));
    }
    let Ok(text) = String::from_utf8(content) else {
        return Err(refuse("is not UTF-8 text".to_owned()));
    };
    usable(trimmed(&text)).map_err(|refusal| refuse(refusal.reason))
}

/// Editors and `echo` end a file with one newline, which is not part of the secret.
fn trimmed(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

fn usable(secret: &str) -> Result<SecretString, Refusal> {
    if secret.is_empty() {
        return Err(Refusal::hidden("is empty"));
    }
    if secret.chars().any(|c| c.is_control() || c.is_whitespace() || c == char::REPLACEMENT_CHARACTER) {
        return Err(Refusal::hidden(
            "holds more than a secret: spaces, line breaks or bytes that are not text",
        ));
    }
    Ok(secret.into())
}

fn named(name: &str, reason: &str) -> Refusal {
    if looks_secret(name) {
        Refusal::hidden(format!("{reason} (the name is not shown, since it looks like a secret itself)"))
    } else {
        Refusal::of(name, reason)
    }
}

/// Whether a name is more likely a pasted secret: long, and mixed as only random text is.
fn looks_secret(name: &str) -> bool {
    let has = |class: fn(&char) -> bool| name.chars().any(|c| class(&c));
    let is_mixed =
        has(char::is_ascii_uppercase) && has(char::is_ascii_lowercase) && has(char::is_ascii_digit);
    name.starts_with("whsec_")
        || (name.len() >= 24 && is_mixed && !name.starts_with('/') && !name.contains('.'))
}
