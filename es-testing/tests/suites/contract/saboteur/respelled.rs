//! Stores that give back the same values in another spelling, which is no sin.

use async_trait::async_trait;
use es_core::backend::{LogPage, ReadLog, ReadStream, StoreError, StreamPage};
use es_core::event::{Fields, Payload, RecordedEvent};
use es_core::layer::StoreLayer;

use super::{Saboteur, Store, of_events};

/// Stores that only seem to break a promise: the suite must take each of them.
pub(crate) fn harmless() -> Vec<Saboteur> {
    vec![
        respelling("writes_numbers_out_and_sorts_keys", |document| {
            document.canonical().unwrap_or_else(|_| document.clone())
        }),
        respelling("gives_back_keys_backwards", |document| {
            let Ok(fields) = Fields::of(document) else { return document.clone() };
            let names: Vec<_> = fields.names().map(str::to_owned).collect();
            let mut members: Vec<_> = names
                .iter()
                .filter_map(|name| {
                    let value: Payload = fields.get(name)?;
                    Some(format!("{}:{value}", serde_json::Value::from(name.as_str())))
                })
                .collect();
            members.reverse();
            let text = format!("{{{}}}", members.join(","));
            // `null` has no fields either
            let is_object = document.as_str().starts_with('{');
            let respelled = if is_object { Payload::parse(text).ok() } else { None };
            respelled.unwrap_or_else(|| document.clone())
        }),
    ]
}

pub(super) fn respelling(name: &'static str, respell: fn(&Payload) -> Payload) -> Saboteur {
    of_events(name, 12, move |healthy| Respells { store: healthy.events, respell })
}

struct Respells {
    store: Store,
    respell: fn(&Payload) -> Payload,
}

impl Respells {
    fn respell(&self, events: &mut [RecordedEvent]) {
        for event in events {
            event.payload = (self.respell)(&event.payload);
            let metadata = Payload::of(&event.metadata).map(|text| (self.respell)(&text));
            if let Ok(metadata) = metadata.and_then(|text| text.decode()) {
                event.metadata = metadata;
            }
        }
    }
}

#[async_trait]
impl StoreLayer for Respells {
    fn inner(&self) -> &Store {
        &self.store
    }

    async fn read_stream(&self, read: &ReadStream) -> Result<StreamPage, StoreError> {
        let mut page = self.store.read_stream(read).await?;
        self.respell(&mut page.events);
        Ok(page)
    }

    async fn read_log(&self, read: &ReadLog) -> Result<LogPage, StoreError> {
        let mut page = self.store.read_log(read).await?;
        self.respell(&mut page.events);
        Ok(page)
    }
}
