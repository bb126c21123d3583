//! From files to registered postings.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use es_core::StoreError;
use turing_domain::PostingId;

use crate::postings::{PostingInput, PostingReader, PostingsError, RefusedPosting, digest_of};
use crate::registry::PostingRegistry;

/// How many postings are registered in one transaction.
const BATCH: usize = 200;

/// What was read and registered.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Intake {
    /// The postings, each once, in the order of their ids, with the digest of their content.
    pub postings: BTreeMap<PostingId, String>,
    /// How many items were read, refused and repeated ones included.
    pub read: usize,
    /// What was not taken, and why.
    pub refused: Vec<RefusedPosting>,
}

impl Intake {
    /// How many items repeat another one of the same intake.
    pub fn repeated(&self) -> usize {
        self.read - self.refused.len() - self.postings.len()
    }

    /// SHA-256 over ids and contents: equal if the same postings with the same content were read.
    pub fn digest(&self) -> String {
        let lines: String =
            self.postings.iter().map(|(id, digest)| format!("{id} {digest}\n")).collect();
        digest_of(&lines)
    }
}

/// Why nothing could be taken in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IntakeError {
    /// The path holds no postings.
    #[error(transparent)]
    Postings(#[from] PostingsError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Every key that some readable posting at `path` has in its data; nothing is registered.
///
/// # Errors
///
/// When there is nothing to read.
pub fn data_keys(path: &Path) -> Result<BTreeSet<String>, PostingsError> {
    let mut keys = BTreeSet::new();
    for posting in PostingReader::open(path)?.flatten() {
        for (key, _) in posting.data {
            if !keys.contains(&key) {
                keys.insert(key);
            }
        }
    }
    Ok(keys)
}

/// Reads the postings at `path` and registers them, holding one batch in memory.
///
/// # Errors
///
/// [`IntakeError`]; what is wrong with single postings stands in [`Intake::refused`].
pub async fn take_in(registry: &dyn PostingRegistry, path: &Path) -> Result<Intake, IntakeError> {
    let mut intake = Intake::default();
    let mut batch = Vec::with_capacity(BATCH);
    for item in PostingReader::open(path)? {
        intake.read += 1;
        match item {
            Ok(posting) => batch.push(posting),
            Err(refused) => intake.refused.push(refused),
        }
        if batch.len() == BATCH {
            register(registry, std::mem::take(&mut batch), &mut intake).await?;
        }
    }
    register(registry, batch, &mut intake).await?;
    Ok(intake)
}

async fn register(
    registry: &dyn PostingRegistry,
    batch: Vec<PostingInput>,
    intake: &mut Intake,
) -> Result<(), StoreError> {
    let digests: Vec<_> = batch.iter().map(PostingInput::digest).collect();
    for (registered, digest) in registry.register(batch).await?.into_iter().zip(digests) {
        match registered {
            Ok(posting) => {
                intake.postings.insert(posting, digest);
            }
            Err(refused) => intake.refused.push(refused),
        }
    }
    Ok(())
}
