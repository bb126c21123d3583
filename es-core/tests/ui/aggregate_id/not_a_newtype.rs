use es_core::AggregateId;

#[derive(AggregateId)]
struct Named {
    id: i64,
}

#[derive(AggregateId)]
struct Two(i64, i64);

#[derive(AggregateId)]
struct None;

#[derive(AggregateId)]
enum Either {
    Number(i64),
}

fn main() {}
