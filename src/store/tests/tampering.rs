//! Whoever changes the record behind our back is found out.

use sqlx::{AssertSqlSafe, sqlite::SqliteConnectOptions};

use super::*;

/// Three audits with something of everything: one version and one finding that ended, two events.
async fn recorded() -> (TempDir, Store) {
    let (folder, store) = store().await;
    let first = Audit {
        events: vec![event("e1")],
        opened: vec![finding("c1", "one"), finding("c2", "two")],
        ..Audit::new(1, &snapshot(&["c1", "c2"]))
    };
    first.record(&store).await.unwrap();
    let second = Audit {
        events: vec![event("e2")],
        updated: vec![finding("c1", "changed")],
        closed: vec![finding("c2", "two")],
        ..Audit::new(2, &snapshot(&["c1", "c3"]))
    };
    second.record(&store).await.unwrap();
    Audit::new(3, &snapshot(&["c1", "c3"])).record(&store).await.unwrap();
    Audit::new(9, &snapshot(&["z"])).record_for("other", &store).await.unwrap();
    (folder, store)
}

/// Runs a statement as somebody with a shell would: without our connection's checks.
async fn tamper(store: &Store, statement: &str) {
    let options = SqliteConnectOptions::new().filename(store.path()).foreign_keys(false);
    let intruder = sqlx::SqlitePool::connect_with(options).await.unwrap();
    let changed = sqlx::query(AssertSqlSafe(statement.to_owned())).execute(&intruder).await.unwrap();
    assert!(changed.rows_affected() > 0, "{statement} changed nothing");
    intruder.close().await;
}

#[tokio::test]
async fn an_untouched_record_is_consistent() {
    let (_folder, store) = recorded().await;
    let verification = store.verify("acme").await.unwrap();
    assert!(verification.is_consistent(), "{:?}", verification.problems);
    assert_eq!((verification.audits, verification.from, verification.to), (3, Some(at(60)), Some(at(180))));
    // Three clients, one role, two divisions, the settings.
    assert_eq!(verification.objects, 7);
    assert_eq!(verification.head, Some(store.audits(Some("acme"), 1).await.unwrap()[0].chain));
    let unknown = store.verify("nobody").await.unwrap();
    assert!(unknown.is_consistent() && unknown.audits == 0 && unknown.head.is_none());
}

#[tokio::test]
async fn every_change_behind_our_back_is_named() {
    let cases = [
        // One byte in each column that counts.
        ("UPDATE object SET body = replace(body, 'Client c1', 'Client cl')", "content of client c1 has hash"),
        (
            "UPDATE object SET hash = CAST(x'00' || substr(hash, 2) AS BLOB) WHERE body LIKE '%Client c1%'",
            "content of client c1 (",
        ),
        ("UPDATE audit SET at_ms = at_ms + 1 WHERE id = 'audit-2'", "audit audit-2: its chain hash"),
        (
            "UPDATE audit SET at_ms = 9223372036854775807 WHERE id = 'audit-2'",
            "audit audit-2: its chain hash",
        ),
        ("UPDATE audit SET complete = 0 WHERE id = 'audit-2'", "audit audit-2: its chain hash"),
        ("UPDATE audit SET gaps = '[ ]' WHERE id = 'audit-2'", "audit audit-2: its chain hash"),
        ("UPDATE audit SET id = 'audit-X' WHERE id = 'audit-2'", "audit audit-X: its chain hash"),
        (
            "UPDATE audit SET chain = CAST(x'00' || substr(chain, 2) AS BLOB) WHERE id = 'audit-3'",
            "audit audit-3: its chain hash",
        ),
        ("UPDATE audit SET chain = x'00' WHERE id = 'audit-2'", "audit audit-2: its chain hash"),
        (
            "UPDATE audit SET configuration = x'00' WHERE id = 'audit-2'",
            "audit audit-2: the digest of its configuration",
        ),
        (
            "UPDATE audit SET recorded = x'00' WHERE id = 'audit-2'",
            "audit audit-2: the digest of its 1 events",
        ),
        ("DELETE FROM audit WHERE id = 'audit-2'", "audit audit-3: its chain hash"),
        ("UPDATE version SET id = 'c9' WHERE id = 'c3'", "audit audit-2: the digest of its configuration"),
        ("UPDATE version SET kind = 'clinet' WHERE id = 'c3'", "version of clinet c3 has no known kind"),
        (
            "UPDATE version SET since = since + 1 WHERE id = 'c3'",
            "audit audit-2: the digest of its configuration",
        ),
        ("UPDATE version SET until = 3 WHERE id = 'c2'", "audit audit-2: the digest of its configuration"),
        (
            "UPDATE version SET until = 99 WHERE id = 'c3'",
            "1 versions end with an audit that is not in the record",
        ),
        (
            "UPDATE version SET since = 99 WHERE id = 'c3'",
            "1 versions begin with an audit that is not in the record",
        ),
        ("DELETE FROM version WHERE id = 'c2'", "audit audit-1: the digest of its configuration"),
        (
            "UPDATE finding SET body = replace(body, 'changed', 'changeD')",
            "audit audit-2: the digest of its 1 events",
        ),
        (
            "UPDATE finding SET body = cast(x'ff' || substr(body, 2) AS TEXT) WHERE since = 2",
            "audit audit-2:",
        ),
        ("UPDATE finding SET uid = 'f' || substr(uid, 2) || 'x' WHERE since = 2", "filed under a name"),
        (
            "UPDATE finding SET until = 3 WHERE until = 2 AND body LIKE '%two%'",
            "1 begun and 0 ended findings",
        ),
        (
            "DELETE FROM finding WHERE since = 1 AND body LIKE '%\"one\"%'",
            "audit audit-1: the digest of its 1 events",
        ),
        (
            "UPDATE event SET body = replace(body, 'critical', 'low') WHERE id = 'e2'",
            "audit audit-2: the digest of its 1",
        ),
        ("UPDATE event SET id = 'e3' WHERE id = 'e2'", "audit audit-2: event e3 is filed under a name"),
        ("DELETE FROM event WHERE id = 'e1'", "audit audit-1: the digest of its 0 events"),
        ("UPDATE org SET name = 'acmE', id = id WHERE name = 'other'", ""),
    ];
    for (statement, expected) in cases {
        let (_folder, store) = recorded().await;
        tamper(&store, statement).await;
        let problems = store.verify("acme").await.unwrap().problems;
        if expected.is_empty() {
            assert_eq!(problems, Vec::<String>::new(), "{statement}");
        } else {
            assert!(problems.iter().any(|problem| problem.contains(expected)), "{statement}: {problems:#?}");
        }
    }
}

#[tokio::test]
async fn one_changed_row_is_one_problem_of_the_chain() {
    let (_folder, store) = recorded().await;
    tamper(&store, "UPDATE audit SET at_ms = at_ms + 1 WHERE id = 'audit-1'").await;
    let problems = store.verify("acme").await.unwrap().problems;
    assert_eq!(problems.len(), 1, "{problems:?}");
}

#[tokio::test]
async fn the_list_of_problems_is_bounded() {
    let (_folder, store) = store().await;
    let seen = snapshot(&["c1"]);
    for n in 1..=130 {
        Audit::new(n, &seen).record(&store).await.unwrap();
    }
    tamper(&store, "UPDATE audit SET gaps = '[ ]'").await;
    let verification = store.verify("acme").await.unwrap();
    assert_eq!((verification.problems.len(), verification.further_problems), (100, 30));
}

#[tokio::test]
async fn a_damaged_text_is_an_error_that_points_to_verify() {
    let (_folder, store) = recorded().await;
    tamper(&store, "UPDATE object SET body = '{' WHERE body LIKE '%Client c1%'").await;
    let error = store.history("acme").await.unwrap_err();
    assert_eq!(error.reason(), "corrupt");
    assert!(error.to_string().contains("client c1") && error.to_string().contains("verify"), "{error}");
}
