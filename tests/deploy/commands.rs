//! Command lines that others run: the unit, the image, the guide. Each is one that the program understands.

use serde_json::Value;

use crate::{all_hold, read};

/// Why the program would not understand these words; `None` if it would.
fn misunderstood(words: &[String]) -> Option<String> {
    let error = scopewarden::cli::command().try_get_matches_from(words).err()?;
    error.use_stderr().then(|| format!("{}: {}", words.join(" "), error.to_string().lines().next().unwrap()))
}

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

/// The values of a key of the unit.
fn unit(key: &str) -> Vec<String> {
    let text = read("deploy/systemd/scopewarden.service");
    let lines = text.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    lines.map(str::to_owned).collect()
}

#[test]
fn the_unit_starts_the_program_with_the_credentials_of_the_sample() {
    let [start] = unit("ExecStart").try_into().unwrap();
    all_hold("ExecStart", misunderstood(&words(&start)).as_slice());
    assert_eq!(unit("Type"), ["notify"], "the oldest systemd that is supported knows no other");
    assert_eq!(unit("ExecReload"), ["/bin/kill -HUP $MAINPID"]);
    assert_eq!(unit("LimitCORE"), ["0"], "a memory image holds secrets");

    let loaded: Vec<String> =
        unit("LoadCredential").iter().map(|value| value.split_once(':').unwrap().0.to_owned()).collect();
    let sample = read("deploy/scopewarden.toml");
    let named: Vec<String> = sample
        .lines()
        .filter_map(|line| line.split_once("_credential = "))
        .filter(|(key, _)| !key.starts_with('#'))
        .map(|(_, value)| value.trim_matches('"').to_owned())
        .collect();
    assert_eq!(loaded, named);
    // Where the sample puts the database, the unit lets it be written.
    let state = format!("/var/lib/{}/", unit("StateDirectory")[0].split(' ').next().unwrap());
    assert!(sample.contains(&format!("url = \"sqlite://{state}")), "{state}");
}

/// The words of `KEYWORD ["…", …]` in the Dockerfile.
fn image(keyword: &str) -> Vec<String> {
    let text = read("deploy/docker/Dockerfile");
    let line =
        text.lines().map(str::trim_start).find(|line| line.starts_with(&format!("{keyword} ["))).unwrap();
    let list: Value = serde_json::from_str(&line[keyword.len()..]).unwrap();
    list.as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_image_starts_and_asks_the_program() {
    let text = read("deploy/docker/Dockerfile");
    let commands: Vec<&str> =
        text.lines().map(str::trim_start).filter(|line| line.starts_with("CMD [")).collect();
    let [check, run] = commands[..] else { panic!("{commands:?}") };
    let parse = |line: &str| -> Vec<String> { serde_json::from_str(&line["CMD ".len()..]).unwrap() };
    let started = [image("ENTRYPOINT"), parse(run)].concat();
    all_hold("ENTRYPOINT and CMD", misunderstood(&started).as_slice());
    all_hold("HEALTHCHECK", misunderstood(&parse(check)).as_slice());
    // The port that is asked is the one that is listened on, and nobody is root.
    let port = |text: &str| text.rsplit_once(':').unwrap().1.trim().to_owned();
    let listen = text.lines().find(|line| line.starts_with("ENV SCOPEWARDEN_SERVER__LISTEN=")).unwrap();
    assert_eq!(port(listen), port(parse(check).last().unwrap()));
    let user = text.lines().rev().find_map(|line| line.strip_prefix("USER ")).unwrap();
    assert!(
        user.split(':').all(|id| id.parse::<u32>().is_ok_and(|id| id > 0)),
        "{user}: a number, so that a runtime can tell that it is not root"
    );
}

/// How the guide calls the program: by its name, or by the function that it defines for the service's user.
const CALLS: [&str; 2] = ["scopewarden ", "as_scopewarden "];

#[test]
fn the_guide_shows_commands_that_exist() {
    let mut broken = Vec::new();
    let mut seen = 0;
    let text = read("docs/operations.md");
    let mut in_console = false;
    for line in text.lines() {
        if line.starts_with("```") {
            in_console = line == "```console";
        }
        // Outside a block, what stands between backticks.
        let spoken: Vec<&str> =
            if in_console { vec![line] } else { line.split('`').skip(1).step_by(2).collect() };
        for rest in spoken.iter().filter_map(|text| CALLS.iter().find_map(|call| text.strip_prefix(call))) {
            // What follows (a pipe, a file, a comment) is the shell's.
            let command = rest.split(['|', '>', '#', ';']).next().unwrap();
            seen += 1;
            broken.extend(misunderstood(&[words("scopewarden"), words(command)].concat()));
        }
    }
    assert!(seen > 20, "only {seen} commands were found");
    all_hold("docs/operations.md shows a command that the program refuses", &broken);
}
