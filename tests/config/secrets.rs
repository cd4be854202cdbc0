//! Secrets: where they come from, who else may read them, and what they must look like.

use std::os::unix::fs::symlink;

use super::*;

/// A sandbox whose organisation's secret is the file `s` in it.
fn with_secret_file() -> Sandbox {
    Sandbox::new(&minimal().replace("client_secret_env = \"ACME_SECRET\"", "client_secret_file = \"s\""))
}

#[test]
fn secret_files_are_taken_unless_everybody_may_read_them() {
    let sandbox = with_secret_file();
    for mode in [0o400, 0o440, 0o600, 0o640] {
        let file = sandbox.secret("s", "canary-from-file\r\n", 0o600);
        fs::set_permissions(file, fs::Permissions::from_mode(mode)).unwrap();
        let config = sandbox.load(&[]).unwrap();
        assert_eq!(config.orgs[0].client_secret.expose_secret(), "canary-from-file", "mode {mode:o}");
    }
    for mode in [0o444, 0o644, 0o602, 0o601] {
        sandbox.secret("s", "canary-from-file", mode);
        assert_eq!(
            sandbox.complaints(&[]),
            [format!(
                "org[0].client_secret_file: \"{{dir}}/s\" is open to everybody (mode {mode:04o}); give it the group \
                 that scopewarden runs as (chgrp) and chmod 0440"
            )]
        );
    }
}

#[test]
fn secret_files_hold_one_secret_and_nothing_else() {
    let sandbox = with_secret_file();
    let large = vec![b'c'; 64 * 1024 + 1];
    let cases: [(&[u8], &str); 5] = [
        (b"\n", "is empty"),
        (b"canary\n\n", "holds more than a secret: spaces, line breaks or bytes that are not text"),
        (b"canary of two words", "holds more than a secret: spaces, line breaks or bytes that are not text"),
        (b"canary\xff", "is not UTF-8 text"),
        (&large, "is larger than 64 KiB, which is no secret"),
    ];
    for (content, reason) in cases {
        sandbox.secret("s", content, 0o600);
        assert_eq!(sandbox.complaints(&[]), [format!("org[0].client_secret_file: \"{{dir}}/s\" {reason}")]);
    }
}

#[test]
fn a_mounted_secret_may_be_a_link() {
    let sandbox = with_secret_file();
    let target = sandbox.secret("..data", "canary-mounted", 0o440);
    symlink(target, sandbox.0.path().join("s")).unwrap();
    assert_eq!(sandbox.load(&[]).unwrap().orgs[0].client_secret.expose_secret(), "canary-mounted");
}

#[test]
fn credentials_come_from_the_directory_of_systemd() {
    let toml =
        minimal().replace("client_secret_env = \"ACME_SECRET\"", "client_secret_credential = \"genesys\"");
    let sandbox = Sandbox::new(&toml);
    let credentials = TempDir::new().unwrap();
    let variable = [("CREDENTIALS_DIRECTORY", credentials.path().to_str().unwrap())];
    assert_eq!(
        complaints(&sandbox.load(&variable), credentials.path()),
        ["org[0].client_secret_credential: \"{dir}/genesys\" does not exist"]
    );
    fs::write(credentials.path().join("genesys"), "canary-credential").unwrap();
    fs::set_permissions(credentials.path().join("genesys"), fs::Permissions::from_mode(0o400)).unwrap();
    assert_eq!(sandbox.load(&variable).unwrap().orgs[0].client_secret.expose_secret(), "canary-credential");

    let outside = Sandbox::new(&toml.replace("\"genesys\"", "\"../genesys\""));
    assert_eq!(
        outside.complaints(&variable),
        [
            "org[0].client_secret_credential: \"../genesys\" is not the name of a credential, as LoadCredential= gives it"
        ]
    );
}

#[test]
fn the_sample_that_ships_is_valid() {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/scopewarden.toml");
    let credentials = Sandbox::new("");
    credentials.secret("genesys_client_secret", "canary-client-secret\n", 0o400);
    credentials.secret("webhook_secret", SIGNING_SECRET, 0o400);
    let config = load(&sample, &[("CREDENTIALS_DIRECTORY", credentials.0.path().to_str().unwrap())]).unwrap();
    assert_eq!((config.orgs.len(), config.receivers.len()), (1, 1));
    assert_eq!(config.storage.path, Path::new("/var/lib/scopewarden/scopewarden.db"));
}

#[test]
fn the_process_environment_is_the_default() {
    let sandbox = with_secret_file();
    sandbox.secret("s", "canary-from-file", 0o400);
    let config = Config::load(Some(&sandbox.config())).unwrap();
    assert_eq!(config.orgs[0].client_secret.expose_secret(), "canary-from-file");
}
