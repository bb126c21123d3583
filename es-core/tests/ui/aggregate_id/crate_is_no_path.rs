use es_core::AggregateId;

#[derive(AggregateId)]
#[aggregate_id(crate = "")]
struct OrderId(i64);

#[derive(AggregateId)]
#[aggregate_id(name = "line")]
struct LineId(i64);

fn main() {}
