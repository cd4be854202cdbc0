//! A disk that fails a transaction: `SQLite` then ends it by itself, and what is written next must not notice.

use sqlx::Connection as _;

use super::*;
use crate::store::{Failure, Fault, Problem};

/// Leaves the writing connection with no page but those that the file has, as a full disk does.
async fn fill(store: &Store) {
    let mut connection = store.writer.acquire().await.unwrap();
    let pages: i64 = sqlx::query_scalar("PRAGMA page_count").fetch_one(&mut *connection).await.unwrap();
    let limit = sqlx::AssertSqlSafe(format!("PRAGMA max_page_count = {pages}"));
    sqlx::query(limit).execute(&mut *connection).await.unwrap();
}

async fn relieve(store: &Store) {
    sqlx::query("PRAGMA max_page_count = 4294967294").execute(&store.writer).await.unwrap();
}

fn large(n: i64) -> Audit {
    let clients: Vec<String> = (0..500).map(|client| format!("c{n}-{client}")).collect();
    let clients: Vec<&str> = clients.iter().map(String::as_str).collect();
    Audit {
        messages: vec![to(message(&format!("m{n}"), "k"), &["ops"])],
        ..Audit::new(n, &snapshot(&clients))
    }
}

fn failure<'a>(id: &'a str, detail: &'a str) -> Failure<'a> {
    Failure { org: "acme", audit: id, started: at(0), at: at(0), reason: "auth", detail, messages: &[] }
}

#[tokio::test]
async fn writing_works_again_once_a_full_disk_has_space() {
    let (_folder, store) = store().await;
    large(1).record(&store).await.unwrap();
    let long = "x".repeat(1 << 20);
    for n in 2..5 {
        fill(&store).await;
        let error = large(n).record(&store).await.unwrap_err();
        assert_eq!(error.fault(), Some(Fault::Full), "{error}");
        fill(&store).await;
        let error = store.record_failure(&failure("f", &long)).await.unwrap_err();
        assert_eq!(error.fault(), Some(Fault::Full), "{error}");
        relieve(&store).await;

        store.claim("ops", 1, at(n)).await.unwrap();
        store.record_failure(&failure(&format!("f{n}"), &long)).await.unwrap();
        Audit { id: format!("after-{n}"), ..large(n) }.record(&store).await.unwrap();
    }
    assert_eq!(store.audits(None, 10).await.unwrap().len(), 4, "nothing of the failed ones is there");
    assert_eq!(store.failures(None, 10).await.unwrap().len(), 3);
    assert_eq!(store.verify("acme").await.unwrap().problems, Vec::<String>::new());
}

#[tokio::test]
async fn a_connection_whose_transaction_ended_by_itself_is_not_used_again() {
    let (_folder, store) = store().await;
    for pool in [&store.writer, &store.readers] {
        let mut connection = pool.acquire().await.unwrap();
        let mut transaction = connection.begin().await.unwrap();
        // What an I/O error does to a transaction that only reads, too.
        sqlx::query("ROLLBACK").execute(&mut *transaction).await.unwrap();
        drop(transaction);
        drop(connection);
        assert!(!pool.acquire().await.unwrap().is_in_transaction());
    }
    Audit::new(1, &snapshot(&["c1"])).record(&store).await.unwrap();
    assert!(store.history("acme").await.unwrap().past.is_some(), "a reader that held on would not see it");
}

#[tokio::test]
async fn an_io_error_on_a_disk_without_space_is_put_down_to_that() {
    let folder = tempfile::tempdir().unwrap();
    let fault = |file: &std::path::Path| Error::new(file, Problem::Io("(code: 4874)".to_owned())).fault();
    assert_eq!(fault(&folder.path().join("not-made-yet.db")), Some(Fault::Io));
    // No free block is what this file system always says of itself.
    assert_eq!(fault("/proc/test.db".as_ref()), Some(Fault::Full));
    let busy = Error::new("/proc/test.db".as_ref(), Problem::Busy);
    assert_eq!(busy.fault(), None);
}
