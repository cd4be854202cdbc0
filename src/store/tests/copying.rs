//! Backups, and what the store tells of its own health.

use std::{os::unix::fs::PermissionsExt, path::Path};

use super::*;
use crate::store::{Fault, Integrity, Problem, newest_backup};

/// A record with some audits of two organisations.
async fn recorded() -> (TempDir, Store) {
    let (folder, store) = store().await;
    for n in 1..=3 {
        let audit = Audit { events: vec![event(&format!("e{n}"))], ..Audit::new(n, &snapshot(&["c1"])) };
        audit.record(&store).await.unwrap();
    }
    Audit::new(4, &snapshot(&["c2"])).record_for("other", &store).await.unwrap();
    (folder, store)
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with("test.db"))
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_backup_is_a_whole_private_record_that_goes_on() {
    let (folder, store) = recorded().await;
    let to = folder.path().join("copy.db");
    let backup = store.backup(&to).await.unwrap();
    assert_eq!((&backup.path, backup.orgs, backup.audits), (&to, 2, 4));
    assert_eq!(backup.bytes, std::fs::metadata(&to).unwrap().len());
    assert_eq!(std::fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(names(folder.path()), ["copy.db"]);

    let copy = Store::open(&to).await.unwrap();
    for org in ["acme", "other"] {
        let (one, two) = (store.verify(org).await.unwrap(), copy.verify(org).await.unwrap());
        assert_eq!(one, two);
    }
    assert_eq!(
        copy.events(None, None, None, 9).await.unwrap(),
        store.events(None, None, None, 9).await.unwrap()
    );
    Audit::new(5, &snapshot(&["c1", "c3"])).record(&copy).await.unwrap();
    assert!(copy.verify("acme").await.unwrap().is_consistent());
    // It still gives pages back, as the original does.
    let mode: i64 = sqlx::query_scalar("PRAGMA auto_vacuum").fetch_one(&copy.writer).await.unwrap();
    assert_eq!(mode, 2);
}

#[tokio::test]
async fn a_backup_can_be_made_while_others_write_and_by_a_reader() {
    let (folder, store) = recorded().await;
    let reader = Store::open_read_only(store.path()).await.unwrap();
    let writing = tokio::spawn(async move {
        for n in 10..40 {
            Audit::new(n, &snapshot(&[&format!("c{n}")])).record(&store).await.unwrap();
        }
    });
    let mut copies = 0;
    while !writing.is_finished() {
        let backup = reader.backup(&folder.path().join(format!("copy-{copies}.db"))).await.unwrap();
        assert!(backup.audits >= 4);
        copies += 1;
    }
    writing.await.unwrap();
    assert!(copies > 0);
}

#[tokio::test]
async fn a_backup_overwrites_nothing_and_leaves_nothing_behind() {
    let (folder, store) = recorded().await;
    let to = folder.path().join("precious");
    std::fs::write(&to, "precious").unwrap();
    let error = store.backup(&to).await.unwrap_err();
    assert!(error.to_string().contains("precious exists already"), "{error}");
    assert_eq!((error.reason(), error.fault()), ("backup", None));
    assert_eq!(std::fs::read_to_string(&to).unwrap(), "precious");

    let error = store.backup(&folder.path().join("no/such/copy.db")).await.unwrap_err();
    assert!(error.to_string().contains("no/such does not exist; make it"), "{error}");
    assert_eq!(names(folder.path()), ["precious"]);
}

#[tokio::test]
async fn a_record_that_is_not_consistent_makes_no_backup() {
    let (folder, store) = recorded().await;
    sqlx::query("UPDATE audit SET at_ms = at_ms + 1 WHERE id = 'audit-2'")
        .execute(&store.writer)
        .await
        .unwrap();
    let error = store.backup(&folder.path().join("copy.db")).await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("copy.db is not sound (the record of acme is not consistent: audit audit-2"),
        "{text}"
    );
    assert_eq!(names(folder.path()), Vec::<String>::new());
}

#[tokio::test]
async fn a_row_that_refers_to_nothing_makes_no_backup() {
    let (folder, store) = recorded().await;
    let mut connection = store.writer.acquire().await.unwrap();
    sqlx::query("PRAGMA foreign_keys = OFF").execute(&mut *connection).await.unwrap();
    sqlx::query("INSERT INTO object_count VALUES (99, 'd', 'USER', 1)")
        .execute(&mut *connection)
        .await
        .unwrap();
    drop(connection);
    let error = store.backup(&folder.path().join("copy.db")).await.unwrap_err();
    assert!(error.to_string().contains("a row of object_count has no org"), "{error}");
    assert_eq!(names(folder.path()), Vec::<String>::new());
}

#[tokio::test]
async fn scheduled_backups_keep_the_newest_and_touch_nothing_else() {
    let (folder, store) = recorded().await;
    let place = folder.path().join("backups");
    let missing = store.scheduled_backup(&place, 2, at(0)).await.unwrap_err();
    assert!(missing.to_string().contains("backups does not exist"), "{missing}");
    std::fs::create_dir(&place).unwrap();
    assert_eq!(newest_backup(&place, at(0)).await.unwrap(), None);
    let others = [
        "scopewarden-2020.db",
        "scopewarden-20200101T000000Z.db.gz",
        "Xscopewarden-20200101T000000Z.db",
        "mine.db.0123456789abcdef0123456789abcdef.unchecked",
    ];
    for other in others {
        std::fs::write(place.join(other), "").unwrap();
    }
    let killed = "scopewarden-20200101T000000Z.db.0123456789abcdef0123456789abcdef.unchecked";
    std::fs::write(place.join(killed), "half a copy").unwrap();
    std::fs::create_dir(place.join("scopewarden-20200101T000000Z.db")).unwrap();

    let mut removed = Vec::new();
    for day in 0..4 {
        let backup = store.scheduled_backup(&place, 2, at(day * 86_400)).await.unwrap();
        removed.extend(backup.removed);
    }

    let first = place.join("scopewarden-20251009T085320Z.db");
    assert_eq!(removed, [first, place.join("scopewarden-20251010T085320Z.db")]);
    let mut expected = vec!["scopewarden-20251011T085320Z.db", "scopewarden-20251012T085320Z.db"];
    expected.extend(others);
    expected.push("scopewarden-20200101T000000Z.db");
    expected.sort_unstable();
    assert_eq!(names(&place), expected);
    assert_eq!(newest_backup(&place, at(3 * 86_400)).await.unwrap(), Some(at(3 * 86_400)));

    let error = store.scheduled_backup(&place, 2, at(3 * 86_400)).await.unwrap_err();
    assert!(error.to_string().contains("exists already"), "{error}");
    assert!(newest_backup(&folder.path().join("none"), at(0)).await.is_err());
}

#[tokio::test]
async fn backups_of_the_future_neither_count_nor_go() {
    let (folder, store) = recorded().await;
    let place = folder.path().join("backups");
    std::fs::create_dir(&place).unwrap();
    let future = ["scopewarden-20990101T000000Z.db", "scopewarden-20990102T000000Z.db"];
    for name in future {
        std::fs::write(place.join(name), "made while the clock was wrong").unwrap();
    }
    assert_eq!(newest_backup(&place, at(0)).await.unwrap(), None);
    let mut made = Vec::new();
    for hour in 0..4 {
        // A name has no fractions of a second.
        let now = at(hour * 3_600) + chrono::TimeDelta::milliseconds(700);
        let backup = store.scheduled_backup(&place, 2, now).await.unwrap();
        assert!(backup.path.exists(), "the one just made");
        assert_eq!(newest_backup(&place, now).await.unwrap(), Some(at(hour * 3_600)));
        made.push(backup.path.file_name().unwrap().to_str().unwrap().to_owned());
    }
    assert_eq!(names(&place), [made[2].as_str(), made[3].as_str(), future[0], future[1]]);
}

#[tokio::test]
async fn a_sound_file_is_told_from_a_damaged_one() {
    let (folder, store) = recorded().await;
    assert_eq!(store.quick_check().await.unwrap(), Integrity::Sound);
    store.close().await;

    let path = folder.path().join("test.db");
    let pages = std::fs::metadata(&path).unwrap().len() / 4096;
    let mut noticed = 0;
    for page in 1..pages {
        let mut bytes = std::fs::read(&path).unwrap();
        let start = usize::try_from(page).unwrap() * 4096;
        bytes[start..start + 64].fill(0xff);
        let damaged = folder.path().join("damaged.db");
        std::fs::write(&damaged, bytes).unwrap();
        let Ok(store) = Store::open_read_only(&damaged).await else {
            noticed += 1;
            continue;
        };
        if let Integrity::Damaged(complaints) = store.quick_check().await.unwrap() {
            assert!(!complaints.is_empty() && complaints.len() <= 20);
            noticed += 1;
        }
        store.close().await;
    }
    assert_eq!(noticed, pages - 1, "of all pages but the first");
}

#[tokio::test]
async fn a_probe_writes_lastingly_and_nothing_of_the_evidence() {
    let (_folder, store) = recorded().await;
    let before = store.verify("acme").await.unwrap();
    for _ in 0..3 {
        store.probe().await.unwrap();
    }
    assert_eq!(store.verify("acme").await.unwrap(), before);
    let rows: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM probe").fetch_one(&store.readers).await.unwrap();
    assert_eq!(rows, 1);
    // The fresh connection is set up as the first one was.
    let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous").fetch_one(&store.writer).await.unwrap();
    assert_eq!(synchronous, 2);
    Audit::new(9, &snapshot(&["c1"])).record(&store).await.unwrap();

    let reader = Store::open_read_only(store.path()).await.unwrap();
    assert!(matches!(reader.probe().await.unwrap_err().problem, Problem::ReadOnly));
}

#[tokio::test]
async fn free_space_is_that_of_the_file_system() {
    let (_folder, store) = recorded().await;
    let free = store.free_bytes().await.unwrap();
    assert!(free > 0);
    std::fs::remove_file(store.path()).unwrap();
    assert!(store.free_bytes().await.is_err());
}

#[test]
fn only_troubles_of_the_disk_are_faults() {
    let fault = |problem| Error { file: "x".into(), problem }.fault();
    assert_eq!(fault(Problem::Full), Some(Fault::Full));
    assert_eq!(fault(Problem::Io("x".to_owned())), Some(Fault::Io));
    assert_eq!(fault(Problem::Corrupt("x".to_owned())), Some(Fault::Corrupt));
    for problem in [Problem::Busy, Problem::ReadOnly, Problem::Missing, Problem::BackupFull("x".into())] {
        assert_eq!(fault(problem), None);
    }
}
