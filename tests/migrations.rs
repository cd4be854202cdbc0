//! The schema that a fresh database gets, and the databases that are refused.

#![expect(clippy::unwrap_used, reason = "a helper that fails should fail its test")]

use std::path::Path;

use scopewarden::store::{Problem, SCHEMA, Store};
use sqlx::{
    SqlSafeStr, SqlitePool,
    migrate::{Migration, MigrationType, Migrator},
    sqlite::{SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode},
};

async fn raw(path: &Path) -> SqlitePool {
    SqlitePool::connect_with(SqliteConnectOptions::new().filename(path)).await.unwrap()
}

async fn number(pool: &SqlitePool, query: &'static str) -> i64 {
    sqlx::query_scalar(query).fetch_one(pool).await.unwrap()
}

#[tokio::test]
async fn a_fresh_database_is_as_it_should_be() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fresh.db");
    Store::open(&path).await.unwrap().close().await;
    let pool = raw(&path).await;
    assert_eq!(number(&pool, "SELECT COUNT(*) FROM _sqlx_migrations").await, SCHEMA);
    assert_eq!(number(&pool, "PRAGMA auto_vacuum").await, 2, "incremental");
    let mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&pool).await.unwrap();
    assert_eq!(mode, "wal");
    let lax: Vec<String> = sqlx::query_scalar(
        "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND NOT strict
         AND name NOT LIKE 'sqlite_%'",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    assert_eq!(lax, ["_sqlx_migrations"], "only the migrator's own table may be");
}

#[tokio::test]
async fn opening_again_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("again.db");
    Store::open(&path).await.unwrap().close().await;
    let before = schema(&path).await;
    assert!(before.len() > 10);
    Store::open(&path).await.unwrap().close().await;
    assert_eq!(schema(&path).await, before);
    Store::open_read_only(&path).await.unwrap().close().await;
}

/// Everything in the schema, and every step that was applied, with its time.
async fn schema(path: &Path) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT name || ' ' || COALESCE(sql, '') FROM sqlite_schema
         UNION ALL SELECT version || ' ' || installed_on || ' ' || hex(checksum) FROM _sqlx_migrations",
    )
    .fetch_all(&raw(path).await)
    .await
    .unwrap()
}

#[tokio::test]
async fn processes_that_start_together_migrate_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("together.db");
    // An empty database in WAL mode: only the migrations are left to race for.
    let pool = raw_wal(&path).await;
    pool.close().await;
    let starts: Vec<_> = (0..6)
        .map(|_| {
            let path = path.clone();
            tokio::spawn(async move { Store::open(&path).await.map(|_| ()) })
        })
        .collect();
    for start in starts {
        start.await.unwrap().unwrap();
    }
    assert_eq!(number(&raw(&path).await, "SELECT MAX(version) FROM _sqlx_migrations").await, SCHEMA);
}

async fn raw_wal(path: &Path) -> SqlitePool {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(sqlx::sqlite::SqliteJournalMode::Wal);
    SqlitePool::connect_with(options).await.unwrap()
}

#[tokio::test]
async fn a_database_of_a_later_program_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("later.db");
    Store::open(&path).await.unwrap().close().await;
    let pool = raw(&path).await;
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (999, 'of the future', TRUE, x'00', 0)",
    )
    .execute(&pool)
    .await
    .unwrap();
    pool.close().await;
    for error in [Store::open(&path).await.unwrap_err(), Store::open_read_only(&path).await.unwrap_err()] {
        assert!(matches!(error.problem, Problem::NewerSchema { found: 999, known: SCHEMA }), "{error}");
        assert_eq!(error.reason(), "schema");
        assert!(error.to_string().contains("later.db: its schema is version 999"), "{error}");
    }
}

#[tokio::test]
async fn a_step_that_was_edited_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("edited.db");
    Store::open(&path).await.unwrap().close().await;
    let pool = raw(&path).await;
    sqlx::query("UPDATE _sqlx_migrations SET checksum = x'00' WHERE version = 1")
        .execute(&pool)
        .await
        .unwrap();
    pool.close().await;
    let error = Store::open(&path).await.unwrap_err();
    assert!(matches!(error.problem, Problem::ForeignSchema(1)), "{error}");
}

/// A file as the program made it at schema version 1, with a version of an entity in it.
async fn version_1(path: &Path) -> SqlitePool {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .auto_vacuum(SqliteAutoVacuum::Incremental)
        .journal_mode(SqliteJournalMode::Wal);
    let pool = SqlitePool::connect_with(options).await.unwrap();
    let step = Migration::new(
        1,
        "initial".into(),
        MigrationType::Simple,
        include_str!("../migrations/0001_initial.sql").into_sql_str(),
        false,
    );
    Migrator::with_migrations(vec![step]).run(&pool).await.unwrap();
    sqlx::raw_sql(
        "INSERT INTO org VALUES (1, 'acme');
         INSERT INTO audit VALUES (1, 1, 'a1', 0, 0, 1, '[]', x'00', x'00', x'00', 8, 1, 1);
         INSERT INTO object VALUES (x'01', '{\"id\":\"c1\"}');
         INSERT INTO version (org, since, kind, id, hash) VALUES (1, 1, 'client', 'c1', x'01');",
    )
    .execute(&pool)
    .await
    .unwrap();
    pool
}

#[tokio::test]
async fn a_file_of_version_1_is_brought_up_to_date_with_all_that_is_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("old.db");
    version_1(&path).await.close().await;
    let refused = Store::open_read_only(&path).await.unwrap_err();
    assert!(matches!(refused.problem, Problem::OlderSchema { found: 1, known: SCHEMA }), "{refused}");

    Store::open(&path).await.unwrap().close().await;

    let pool = raw(&path).await;
    assert_eq!(number(&pool, "SELECT MAX(version) FROM _sqlx_migrations").await, SCHEMA);
    let object: (String, Option<i64>) =
        sqlx::query_as("SELECT body, forgotten_ms FROM object").fetch_one(&pool).await.unwrap();
    assert_eq!(object, ("{\"id\":\"c1\"}".to_owned(), None), "nothing is forgotten by an upgrade");
    assert_eq!(number(&pool, "SELECT COUNT(*) FROM version JOIN object USING (hash)").await, 1);
    assert_eq!(number(&pool, "SELECT COUNT(*) FROM probe").await, 0);
    let strays = sqlx::query("PRAGMA foreign_key_check").fetch_all(&pool).await.unwrap();
    assert!(strays.is_empty());
    // Only a text that is gone can be marked as forgotten.
    let marked = sqlx::query("UPDATE object SET forgotten_ms = 1").execute(&pool).await.unwrap_err();
    assert!(marked.to_string().contains("CHECK constraint"), "{marked}");
    // It is the same schema as that of a fresh file.
    let fresh = folder.path().join("fresh.db");
    Store::open(&fresh).await.unwrap().close().await;
    assert_eq!(definitions(&path).await, definitions(&fresh).await);
}

/// A file as the program made it at schema version 3, brought there by the program's own steps.
#[tokio::test]
async fn a_file_of_version_3_gets_the_tables_of_what_is_observed_and_keeps_its_evidence() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("old.db");
    let pool = version_1(&path).await;
    let steps = [
        (1, "initial", include_str!("../migrations/0001_initial.sql")),
        (2, "retention", include_str!("../migrations/0002_retention.sql")),
        (3, "dead_letters", include_str!("../migrations/0003_dead_letters.sql")),
    ];
    let steps = steps.map(|(version, name, sql)| {
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    });
    Migrator::with_migrations(steps.into()).run(&pool).await.unwrap();
    pool.close().await;

    let store = Store::open(&path).await.unwrap();
    assert_eq!(store.turns("acme").await.unwrap().len(), 0);
    assert_eq!(store.usage("acme").await.unwrap(), None);
    store.close().await;
    let pool = raw(&path).await;
    assert_eq!(number(&pool, "SELECT COUNT(*) FROM version JOIN object USING (hash)").await, 1);
    let bad =
        sqlx::query("INSERT INTO grant_turn VALUES (1, 'c1', 0, NULL, 2)").execute(&pool).await.unwrap_err();
    assert!(bad.to_string().contains("CHECK constraint"), "{bad}");
    let fresh = folder.path().join("fresh.db");
    Store::open(&fresh).await.unwrap().close().await;
    assert_eq!(definitions(&path).await, definitions(&fresh).await);
}

async fn definitions(path: &Path) -> Vec<String> {
    sqlx::query_scalar("SELECT name || ' ' || COALESCE(sql, '') FROM sqlite_schema ORDER BY name")
        .fetch_all(&raw(path).await)
        .await
        .unwrap()
}
