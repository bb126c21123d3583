//! Who holds the log back: said wherever what is shown may be less than what was appended.

use es_core::projection::Blocker;

use super::output::shown;
use super::telling::tell;
use crate::store::Store;

/// Says on standard error who holds the log back, if somebody does.
pub(super) async fn warn(store: &Store) {
    let Some(blockers) = &store.events.capabilities().blockers else { return };
    // what is wrong with the store is told by the command itself
    if let Ok(Some(blocker)) = blockers.blocker().await {
        tell(format_args!(
            "{}; what was appended behind what it may have inserted is not seen yet",
            held_back(&blocker)
        ));
    }
}

/// Who, and for how long.
pub(super) fn held_back(blocker: &Blocker) -> String {
    let open_for = match blocker.open_for {
        Some(open_for) => format!("; its transaction is open for {:.1} s", open_for.as_secs_f64()),
        None => String::new(),
    };
    format!(
        "the log is held back by {} ({}){open_for}",
        shown(&blocker.session, 80),
        shown(&blocker.description, 160)
    )
}
