use es_core::projection::TableRow;

#[derive(TableRow)]
#[table(name = "OpenOrders", index(customer))]
struct OpenOrder {
    #[table(key)]
    generation: i64,
    cents: i64,
}

#[derive(TableRow)]
struct NoName {
    #[table(key)]
    id: i64,
}

#[derive(TableRow)]
#[table(name = "lines", key)]
struct NoKey {
    #[table(index)]
    id: i64,
}

#[derive(TableRow)]
#[table(name = "pairs")]
struct Pair(i64, i64);

#[derive(TableRow)]
#[table(name = "excluded", index(r#type))]
struct Kept {
    #[table(key)]
    ctid: i64,
    r#type: String,
}

fn main() {}
