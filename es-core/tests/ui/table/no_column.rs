use es_core::projection::TableRow;

enum Status {
    Open,
}

#[derive(TableRow)]
#[table(name = "open_orders")]
struct OpenOrder {
    #[table(key)]
    id: String,
    status: Status,
}

fn main() {
    let _ = Status::Open;
}
