use es_core::AggregateId;

#[derive(AggregateId)]
struct Price(f64);

fn main() {}
