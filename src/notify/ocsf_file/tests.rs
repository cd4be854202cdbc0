use std::os::unix::fs::PermissionsExt as _;

use tempfile::TempDir;

use super::*;

struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("ocsf.jsonl")
    }

    fn file(&self, rotate_bytes: u64, keep: u32) -> OcsfFile {
        OcsfFile::new(self.path(), rotate_bytes, keep)
    }

    fn text(&self) -> String {
        fs::read_to_string(self.path()).unwrap()
    }

    /// The ids of all lines, of the oldest file first.
    fn ids(&self) -> Vec<String> {
        let mut files: Vec<PathBuf> = (1..=20).map(|number| aside(&self.path(), number)).collect();
        files.reverse();
        files.push(self.path());
        let texts = files.iter().filter_map(|file| fs::read_to_string(file).ok());
        let lines: Vec<String> =
            texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
        lines
            .iter()
            .map(|line| {
                serde_json::from_str::<Value>(line).unwrap()["metadata"]["uid"].as_str().unwrap().to_owned()
            })
            .collect()
    }
}

fn body(number: usize) -> Vec<u8> {
    let summary = format!("finding {number}");
    serde_json::json!({
        "type": "finding.opened",
        "timestamp": "2026-11-25T08:00:00.000Z",
        "data": { "severity": "high", "summary": summary },
    })
    .to_string()
    .into_bytes()
}

async fn put(file: &OcsfFile, number: usize) -> Outcome {
    file.deliver(&format!("msg-{number}"), &body(number)).await
}

const LARGE: u64 = 1 << 20;

#[tokio::test]
async fn each_message_is_one_line_that_its_group_may_read() {
    let place = Place::new();
    let file = place.file(LARGE, 3);
    for number in 0..3 {
        assert_eq!(put(&file, number).await, Outcome::Delivered);
    }
    assert_eq!(place.ids(), ["msg-0", "msg-1", "msg-2"]);
    let line: Value = serde_json::from_str(place.text().lines().next().unwrap()).unwrap();
    assert_eq!(line["severity_id"], 4);
    assert_eq!(line["time"], 1_795_593_600_000_i64);
    assert_eq!(line["message"], "finding 0");
    assert_eq!(fs::metadata(place.path()).unwrap().permissions().mode() & 0o777 & !0o640, 0);
}

#[tokio::test]
async fn what_the_file_holds_already_is_not_written_twice_even_by_another_life() {
    let place = Place::new();
    let file = place.file(LARGE, 3);
    for _ in 0..2 {
        assert_eq!(put(&file, 1).await, Outcome::Delivered);
    }
    // The courier died between the write and its own record of it.
    assert_eq!(put(&place.file(LARGE, 3), 1).await, Outcome::Delivered);
    assert_eq!(place.ids(), ["msg-1"]);
}

#[tokio::test]
async fn half_a_line_left_by_a_kill_is_taken_away_at_any_byte() {
    let whole = {
        let place = Place::new();
        let file = place.file(LARGE, 3);
        put(&file, 1).await;
        put(&file, 2).await;
        place.text()
    };
    let first = whole.find('\n').unwrap() + 1;
    for cut in [1, 2, first - 1, first, first + 1, first + 7, whole.len() - 1, whole.len()] {
        let place = Place::new();
        fs::write(place.path(), &whole[..cut]).unwrap();
        let file = place.file(LARGE, 3);
        assert_eq!(put(&file, 1).await, Outcome::Delivered, "cut at {cut}");
        assert_eq!(put(&file, 2).await, Outcome::Delivered, "cut at {cut}");
        assert_eq!(place.text(), whole, "cut at {cut}");
    }
}

#[tokio::test]
async fn half_a_line_of_another_process_is_taken_away_while_it_is_open() {
    let place = Place::new();
    let file = place.file(LARGE, 3);
    put(&file, 1).await;
    OpenOptions::new().append(true).open(place.path()).unwrap().write_all(b"{\"half").unwrap();
    assert_eq!(put(&file, 2).await, Outcome::Delivered);
    assert_eq!(place.ids(), ["msg-1", "msg-2"]);
}

#[tokio::test]
async fn it_is_set_aside_before_it_grows_too_large_and_so_many_are_kept() {
    let place = Place::new();
    let line = {
        let other = Place::new();
        put(&other.file(LARGE, 1), 10).await;
        other.text().len() as u64
    };
    let file = place.file(line * 2, 2);
    for number in 10..19 {
        assert_eq!(put(&file, number).await, Outcome::Delivered);
    }
    // Two a file; the one being written and two set aside.
    assert_eq!(place.ids(), ["msg-14", "msg-15", "msg-16", "msg-17", "msg-18"]);
    assert!(fs::metadata(place.path()).unwrap().len() <= line * 2);
    // A life that begins right after a file was set aside looks there too.
    assert_eq!(put(&place.file(line * 2, 2), 17).await, Outcome::Delivered);
    assert_eq!(place.ids().iter().filter(|id| *id == "msg-17").count(), 1);
}

#[tokio::test]
async fn whoever_moves_it_away_gets_a_new_one() {
    let place = Place::new();
    let file = place.file(LARGE, 3);
    put(&file, 1).await;
    fs::rename(place.path(), place.0.path().join("taken")).unwrap();
    assert_eq!(put(&file, 2).await, Outcome::Delivered);
    assert_eq!(place.ids(), ["msg-2"]);
}

#[tokio::test]
async fn a_file_of_something_else_is_left_alone() {
    let place = Place::new();
    fs::write(place.path(), "SQLite format 3\0 and no line").unwrap();
    let outcome = put(&place.file(LARGE, 3), 1).await;
    let Outcome::Retry { reason: "storage", detail, .. } = outcome else { panic!("{outcome:?}") };
    assert!(detail.contains("something else than JSON lines"), "{detail}");
    assert_eq!(place.text(), "SQLite format 3\0 and no line");
}

#[tokio::test]
async fn what_cannot_be_written_waits() {
    let place = Place::new();
    std::os::unix::fs::symlink("/dev/full", place.path()).unwrap();
    let outcome = put(&place.file(LARGE, 3), 1).await;
    assert!(matches!(&outcome, Outcome::Retry { reason: "storage", .. }), "{outcome:?}");
    fs::remove_file(place.path()).unwrap();

    let gone = OcsfFile::new(place.0.path().join("no/such/folder/ocsf.jsonl"), LARGE, 3);
    let outcome = put(&gone, 1).await;
    assert!(matches!(&outcome, Outcome::Retry { reason: "storage", .. }), "{outcome:?}");
    assert_eq!(put(&place.file(LARGE, 3), 1).await, Outcome::Delivered);
}

#[tokio::test]
async fn two_who_write_at_once_spoil_nothing() {
    let place = Place::new();
    let (one, other) = (place.file(400, 20), place.file(400, 20));
    let write = async |file: &OcsfFile, from: usize| {
        for number in from..from + 10 {
            assert_eq!(put(file, number).await, Outcome::Delivered);
        }
    };
    tokio::join!(write(&one, 100), write(&other, 200));
    let mut ids = place.ids();
    ids.sort_unstable();
    let mut want: Vec<String> = (100..110).chain(200..210).map(|number| format!("msg-{number}")).collect();
    want.sort_unstable();
    assert_eq!(ids, want);
}
