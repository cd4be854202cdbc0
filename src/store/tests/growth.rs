//! An audit that saw nothing new costs one small row.

use super::*;

const TABLES: [&str; 12] = [
    "org",
    "audit",
    "object",
    "version",
    "finding",
    "event",
    "failure",
    "pending_removal",
    "object_count",
    "message",
    "delivery",
    "probe",
];

async fn rows(store: &Store) -> Vec<(&'static str, i64)> {
    let mut counts = Vec::new();
    for table in TABLES {
        let query = sqlx::AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"));
        counts.push((table, sqlx::query_scalar(query).fetch_one(&store.readers).await.unwrap()));
    }
    counts
}

/// Every row that a connection changes raises its counter, updates that write the old value again included.
async fn changed_rows(store: &Store) -> i64 {
    sqlx::query_scalar("SELECT total_changes()").fetch_one(&store.writer).await.unwrap()
}

async fn bytes(store: &Store) -> i64 {
    let pages: i64 = sqlx::query_scalar("PRAGMA page_count").fetch_one(&store.readers).await.unwrap();
    let size: i64 = sqlx::query_scalar("PRAGMA page_size").fetch_one(&store.readers).await.unwrap();
    pages * size
}

fn unchanged(n: i64) -> Audit {
    let clients: Vec<String> = (0..50).map(|n| format!("c{n}")).collect();
    let clients: Vec<&str> = clients.iter().map(String::as_str).collect();
    Audit {
        // As long as the ids of real audits.
        id: format!("{n:036}"),
        object_counts: Some(ObjectCounts::from([("d1".into(), [("USER".to_owned(), 3)].into())])),
        pending_removals: BTreeSet::from([(Fact::Clients, "c99".to_owned())]),
        ..Audit::new(n, &snapshot(&clients))
    }
}

#[tokio::test]
async fn an_unchanged_audit_adds_one_row_and_touches_no_other() {
    let (_folder, store) = store().await;
    let first = Audit {
        opened: (0..50).map(|n| finding(&format!("c{n}"), "seen")).collect(),
        messages: vec![to(message("m1", "k"), &["ops"])],
        ..unchanged(1)
    };
    first.record(&store).await.unwrap();
    let (mut expected, changed) = (rows(&store).await, changed_rows(&store).await);

    unchanged(2).record(&store).await.unwrap();

    expected[1].1 += 1;
    assert_eq!(rows(&store).await, expected);
    assert_eq!(changed_rows(&store).await, changed + 1);
    assert_eq!(store.findings(None).await.unwrap()[0].last_seen, at(120));
}

#[tokio::test]
async fn a_thousand_unchanged_audits_grow_the_file_by_less_than_a_kibibyte_each() {
    let (_folder, store) = store().await;
    unchanged(0).record(&store).await.unwrap();
    let before = bytes(&store).await;
    for n in 1..=1_000 {
        unchanged(n).record(&store).await.unwrap();
    }
    let each = (bytes(&store).await - before) / 1_000;
    assert!(each < 1_024, "{each} bytes");
    let sizes = store.sizes().await.unwrap();
    assert!(sizes.main > 0 && sizes.wal > 0, "{sizes:?}");
}

#[tokio::test]
async fn content_is_stored_once() {
    let (_folder, store) = store().await;
    let (one, two) = (snapshot(&["c1"]), snapshot(&["c1", "c2"]));
    Audit::new(1, &one).record(&store).await.unwrap();
    Audit::new(2, &one).record_for("other", &store).await.unwrap();
    let objects = rows(&store).await[2];
    Audit::new(3, &two).record(&store).await.unwrap();
    Audit::new(4, &one).record(&store).await.unwrap();
    Audit::new(5, &two).record(&store).await.unwrap();
    // Only c2 was new, once; the other organisation and the way back cost nothing.
    assert_eq!(rows(&store).await[2], ("object", objects.1 + 1));
}
