//! Postings registered in memory, for stores that end with the process.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use es_core::execution::StoreError;
use serde_json::{Map, Value};
use turing_domain::PostingId;

use super::{Known, PostingRegistry, Tables, register};
use crate::postings::{PostingInput, RefusedPosting};

/// A registry that ends with the process.
#[derive(Debug, Default)]
pub struct MemoryRegistry(Mutex<Maps>);

#[derive(Debug, Default)]
pub(super) struct Maps {
    data: HashMap<PostingId, Map<String, Value>>,
    assigned: HashMap<String, PostingId>,
}

impl Tables for Maps {
    type Error = Infallible;

    fn data(&mut self, posting: PostingId) -> Result<Known, Infallible> {
        Ok(self.data.get(&posting).cloned().map_or(Known::Nothing, Known::Data))
    }

    fn assigned(&mut self, digest: &str) -> Result<Option<PostingId>, Infallible> {
        Ok(self.assigned.get(digest).copied())
    }

    fn highest_assigned(&mut self) -> Result<Option<PostingId>, Infallible> {
        Ok(self.assigned.values().max().copied())
    }

    fn insert(&mut self, posting: PostingId, data: Map<String, Value>) -> Result<(), Infallible> {
        self.data.insert(posting, data);
        Ok(())
    }

    fn remember(&mut self, digest: &str, posting: PostingId) -> Result<(), Infallible> {
        self.assigned.insert(digest.to_owned(), posting);
        Ok(())
    }
}

#[async_trait]
impl PostingRegistry for MemoryRegistry {
    async fn register(
        &self,
        postings: Vec<PostingInput>,
    ) -> Result<Vec<Result<PostingId, RefusedPosting>>, StoreError> {
        let mut maps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let registered = postings.into_iter().map(|posting| match register(&mut *maps, posting) {
            Ok(registered) => registered,
        });
        Ok(registered.collect())
    }

    async fn data(&self, posting: PostingId) -> Result<Option<Map<String, Value>>, StoreError> {
        let maps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(maps.data.get(&posting).cloned())
    }
}
