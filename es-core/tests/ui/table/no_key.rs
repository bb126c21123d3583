use es_core::AggregateId;
use es_core::projection::{Changes, TableRow};

#[derive(AggregateId)]
struct OrderId(String);

impl From<&str> for OrderId {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

#[derive(TableRow)]
#[table(name = "lines")]
struct Line {
    #[table(key)]
    order: OrderId,
    #[table(key)]
    sku: String,
    is_reserved: bool,
}

fn changes(rows: &mut Changes) {
    // texts stand for the parts that are made of them
    rows.update::<Line>(("o-1", "bread"), "is_reserved = $1", true);
    rows.update::<Line>((7, "bread"), "is_reserved = $1", true);
}

fn main() {}
