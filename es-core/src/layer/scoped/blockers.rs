//! Who holds the log of all tenants back, as a tenant may know it.

use std::sync::Arc;

use async_trait::async_trait;

use super::names::Scope;
use crate::error::StoreError;
use crate::projection::{Blocker, LogBlockers};

pub(super) struct Blockers {
    pub(super) inner: Arc<dyn LogBlockers>,
    pub(super) scope: Scope,
}

#[async_trait]
impl LogBlockers for Blockers {
    async fn blocker(&self) -> Result<Option<Blocker>, StoreError> {
        let found = self.inner.blocker().await.map_err(|error| self.scope.failure(&error))?;
        // its names are of programs, users and addresses, which may be anybody's
        Ok(found.map(|blocker| Blocker {
            session: "another session".to_owned(),
            description: "which one is known to who operates the store".to_owned(),
            open_for: blocker.open_for,
        }))
    }
}
