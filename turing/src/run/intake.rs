//! From files to registered postings.

use std::collections::{BTreeMap, BTreeSet};

use es_core::execution::StoreError;
use turing_domain::PostingId;

use crate::postings::{PostingInput, PostingSource, PostingsError, RefusedPosting, digest_of};
use crate::registry::PostingRegistry;

/// How many postings are registered in one transaction.
const BATCH: usize = 200;

/// About how much memory these may take: a batch that has it is registered at once.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// What was read and registered.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Intake {
    /// The postings, each once, in the order of their ids, with the digest of their content.
    pub postings: BTreeMap<PostingId, String>,
    /// Where they were read, if they were read now.
    pub sources: BTreeMap<PostingId, String>,
    /// How many items were read, refused and repeated ones included.
    pub read: usize,
    /// What was not taken, and why.
    pub refused: Vec<RefusedPosting>,
    /// How many postings were left out because a run of the workflow has completed them.
    pub completed_before: usize,
}

impl Intake {
    /// How many items repeat another one of the same intake.
    pub fn repeated(&self) -> usize {
        self.read - self.refused.len() - self.postings.len() - self.completed_before
    }

    /// Leaves out what has completed.
    pub(super) fn leave_out(&mut self, completed: &BTreeSet<PostingId>) {
        let count = self.postings.len();
        self.postings.retain(|posting, _| !completed.contains(posting));
        self.completed_before += count - self.postings.len();
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
    /// The postings cannot be read.
    #[error(transparent)]
    Postings(#[from] PostingsError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Reads these postings and registers them, holding one batch in memory.
///
/// # Errors
///
/// [`IntakeError`]; what is wrong with single postings stands in [`Intake::refused`].
pub async fn take_in(
    registry: &dyn PostingRegistry,
    postings: &PostingSource,
) -> Result<Intake, IntakeError> {
    take_in_telling(registry, postings, &mut |_| {}).await
}

/// The same, and tells how many were read whenever a batch is registered.
///
/// # Errors
///
/// As [`take_in`].
pub async fn take_in_telling(
    registry: &dyn PostingRegistry,
    postings: &PostingSource,
    tell: &mut (dyn FnMut(usize) + Send),
) -> Result<Intake, IntakeError> {
    let mut intake = Intake::default();
    let (mut batch, mut bytes, mut ids) = (Vec::new(), 0, Vec::new());
    for item in postings.read()? {
        intake.read += 1;
        match item {
            Ok(posting) => {
                bytes += posting.memory();
                batch.push(posting);
            }
            Err(refused) => intake.refused.push(refused),
        }
        if batch.len() == BATCH || bytes >= BATCH_BYTES {
            register(registry, std::mem::take(&mut batch), &mut intake, &mut ids).await?;
            bytes = 0;
            tell(intake.read);
        }
    }
    register(registry, batch, &mut intake, &mut ids).await?;
    tell(intake.read);
    name_others(postings, &mut intake, ids);
    Ok(intake)
}

/// Registers a batch; `ids` gets the ids that refused postings brought, with their places in
/// [`Intake::refused`].
async fn register(
    registry: &dyn PostingRegistry,
    batch: Vec<PostingInput>,
    intake: &mut Intake,
    ids: &mut Vec<(usize, PostingId)>,
) -> Result<(), StoreError> {
    let known = batch.iter().map(|one| (one.posting_id, one.digest(), one.source.clone()));
    let known: Vec<_> = known.collect();
    let registered = registry.register(batch).await?.into_iter().zip(known);
    for (registered, (brought, digest, source)) in registered {
        match registered {
            Ok(posting) => {
                intake.sources.entry(posting).or_insert(source);
                intake.postings.insert(posting, digest);
            }
            Err(refused) => {
                ids.extend(brought.map(|id| (intake.refused.len(), id)));
                intake.refused.push(refused);
            }
        }
    }
    Ok(())
}

/// Says in each refusal of a posting whose id another one of the same intake has where that one
/// stands. Which ids these are is known in the end only, so that all are read once more; to note
/// where each posting stands would take memory for every one.
fn name_others(postings: &PostingSource, intake: &mut Intake, mut ids: Vec<(usize, PostingId)>) {
    ids.retain(|(_, id)| intake.postings.contains_key(id));
    if ids.is_empty() {
        return;
    }
    // what cannot be read any more is registered all the same
    let Ok(again) = postings.read() else { return };
    let asked: BTreeSet<_> = ids.iter().map(|(_, id)| *id).collect();
    let mut places = BTreeMap::new();
    for posting in again.flatten() {
        if let Some(id) = posting.posting_id
            && asked.contains(&id)
            && intake.postings.get(&id) == Some(&posting.digest())
        {
            places.entry(id).or_insert(posting.source);
        }
    }
    for (index, id) in ids {
        if let (Some(refused), Some(place)) = (intake.refused.get_mut(index), places.get(&id)) {
            refused.reason = format!(
                "posting_id {id} is registered with other content, that of {place}; give it \
                 another id"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::sync::Mutex;

    use async_trait::async_trait;
    use serde_json::{Map, Value};

    use super::*;
    use crate::postings::MAX_POSTING_BYTES;
    use crate::registry::MemoryRegistry;

    /// Notes how many postings each batch has.
    #[derive(Default)]
    struct Batches {
        inner: MemoryRegistry,
        sizes: Mutex<Vec<usize>>,
    }

    #[async_trait]
    impl PostingRegistry for Batches {
        async fn register(
            &self,
            postings: Vec<PostingInput>,
        ) -> Result<Vec<Result<PostingId, RefusedPosting>>, StoreError> {
            self.sizes.lock().unwrap().push(postings.len());
            self.inner.register(postings).await
        }
        async fn data(&self, posting: PostingId) -> Result<Option<Map<String, Value>>, StoreError> {
            self.inner.data(posting).await
        }
    }

    /// The sizes of the batches that postings with these data are registered in.
    async fn batches(data: impl Iterator<Item = String>) -> Vec<usize> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("postings.jsonl");
        let lines = data.fold(String::new(), |mut lines, data| {
            writeln!(lines, "{data}").unwrap();
            lines
        });
        std::fs::write(&path, lines).unwrap();
        let registry = Batches::default();
        let intake = take_in(&registry, &PostingSource::Path(path)).await.unwrap();
        let sizes = registry.sizes.into_inner().unwrap();
        assert!(intake.refused.is_empty(), "{:?}", intake.refused);
        assert_eq!(sizes.iter().sum::<usize>(), intake.read);
        assert_eq!(intake.postings.len(), intake.read);
        sizes
    }

    #[tokio::test]
    async fn an_id_that_stands_twice_is_told_with_the_place_of_the_other_one() {
        let folder = tempfile::tempdir().unwrap();
        let registry = MemoryRegistry::default();
        let take = async |lines: &[&str]| {
            let path = folder.path().join("postings.jsonl");
            std::fs::write(&path, lines.join("\n")).unwrap();
            let intake = take_in(&registry, &PostingSource::Path(path)).await.unwrap();
            let prefix = format!("{}/", folder.path().display());
            let refused = intake.refused.iter().map(|one| one.to_string().replace(&prefix, ""));
            (intake.postings.len(), refused.collect::<Vec<_>>())
        };
        let lines = [1, 2, 3].map(|n| format!(r#"{{"posting_id":7,"n":{n}}}"#));
        let [one, two, three] = lines.each_ref().map(String::as_str);
        let told = |line: usize, other: &str| {
            format!("postings.jsonl:{line}: posting_id 7 is registered with other content{other}")
        };
        let (count, refused) = take(&["{", one, two, one, three]).await;
        let other = ", that of postings.jsonl:2; give it another id";
        assert_eq!((count, &refused[1..]), (1, &[told(3, other), told(5, other)][..]));
        // which one the id belongs to is a matter of the store, not of the order
        let (count, refused) = take(&[two, one]).await;
        assert_eq!((count, refused), (1, vec![told(1, other)]));
        // the other one is not among these
        let other = ": `n` differs; give it another id (`turing state posting 7 --data` prints what is \
                     registered)";
        assert_eq!(take(&[two, three]).await, (0, vec![told(1, other), told(2, other)]));
    }

    #[tokio::test]
    async fn a_batch_ends_by_its_number_and_by_its_memory() {
        let small = |id: usize| format!(r#"{{"posting_id":{},"text":"small"}}"#, id + 1);
        assert_eq!(batches((0..450).map(small)).await, [200, 200, 50]);

        let text = "x".repeat(BATCH_BYTES / 2);
        let half = |id: usize| format!(r#"{{"posting_id":{},"text":"{text}"}}"#, id + 1);
        assert_eq!(batches((0..5).map(half)).await, [2, 2, 1]);

        // what is short as text may be large in memory
        let list = "1,".repeat(MAX_POSTING_BYTES / 8);
        let long = |id: usize| format!(r#"{{"posting_id":{},"list":[{list}1]}}"#, id + 1);
        assert_eq!(batches((0..2).map(long)).await, [1, 1, 0]);
    }
}
