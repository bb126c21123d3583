use es_core::AggregateId;

#[derive(AggregateId)]
struct Id<T>(T);

fn main() {}
