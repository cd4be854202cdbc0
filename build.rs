//! What `scopewarden_build_info` says: the commit and the compiler. Neither is needed to build.

use std::{ffi::OsStr, path::Path, process::Command};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=BUILD_REVISION");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    if let Some(rustc) = first_line(&rustc, &["--version"]) {
        println!("cargo:rustc-env=BUILD_RUSTC={rustc}");
    }
    // A packager who builds from a tarball sets BUILD_REVISION, which the compiler then sees by itself.
    if std::env::var_os("BUILD_REVISION").is_none()
        && let Some(revision) = first_line("git".as_ref(), &["rev-parse", "--short=12", "HEAD"])
    {
        println!("cargo:rustc-env=BUILD_REVISION={revision}");
        // The log of HEAD grows with each commit and checkout, also where HEAD itself (a branch name) stays.
        if let Some(log) = first_line("git".as_ref(), &["rev-parse", "--git-path", "logs/HEAD"])
            && Path::new(&log).exists()
        {
            println!("cargo:rerun-if-changed={log}");
        }
    }
}

fn first_line(program: &OsStr, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let line = String::from_utf8(output.stdout).ok()?.lines().next()?.trim().to_owned();
    (output.status.success() && !line.is_empty()).then_some(line)
}
