//! Whether the file of a store is whole.

use es_core::execution::StoreError;
use es_sqlite::SqliteStore;

use super::{FindingSeverity, StoreFinding};

/// The kind of finding that tells of a damaged file.
const FILE_DAMAGED: &str = "file_damaged";

/// Reads the whole file, the application's tables and all indexes included, and tells of what is
/// damaged: entries of indexes, which can be made anew from their tables, and everything else, for
/// which a backup is needed.
///
/// # Errors
///
/// When the store fails.
pub async fn validate_file(store: &SqliteStore) -> Result<Vec<StoreFinding>, StoreError> {
    let damage = store.find_damage().await?;
    let path = store.path().display().to_string();
    let is_of_indexes = damage.iter().all(|found| is_of_index(found));
    let repair = match is_of_indexes {
        true => format!("sqlite3 {} REINDEX", in_shell(&path)),
        false => format!(
            "restore a backup over {path}, without {path}-wal and {path}-shm, as docs/sqlite.md says."
        ),
    };
    let finding = |found: String| StoreFinding {
        kind: FILE_DAMAGED.to_owned(),
        severity: FindingSeverity::Error,
        aggregate_type: None,
        aggregate_id: None,
        detail: format!("the file is damaged: {found}"),
        repair: Some(repair.clone()),
    };
    Ok(damage.into_iter().map(finding).collect())
}

/// Whether only the entries of an index are wrong.
fn is_of_index(found: &str) -> bool {
    found.starts_with("wrong # of entries in index ")
        || found.starts_with("row ") && found.contains(" missing from index ")
        || found.starts_with("row ") && found.contains(" values differ from index ")
}

fn in_shell(path: &str) -> String {
    format!("'{}'", path.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_index_lacks_is_told_from_other_damage() {
        for of_index in [
            "row 1 missing from index unique_event_id",
            "row 7 values differ from index mine",
            "wrong # of entries in index mine",
        ] {
            assert!(is_of_index(of_index), "{of_index}");
        }
        for other in [
            "*** in database main ***\nTree 5 page 5: btreeInitPage() returns error code 11",
            "rowid 3 missing from table x",
            "non-unique entry in index mine",
        ] {
            assert!(!is_of_index(other), "{other}");
        }
    }
}
